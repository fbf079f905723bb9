"""The policy says what the code does, in both languages, without scripts, and a change of it asks again."""

from __future__ import annotations

import hashlib
import html
import re
from html.parser import HTMLParser

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from fleetune import rating as feedback
from fleetune.app import rate as app_feedback
from fleetune.app.consent import Terms
from fleetune.app.ledger import CAP, WINDOW_DAYS
from fleetune.fields import COVERS, FIELDS, HONESTY, NEVER_SENT
from fleetune.privacy import DEFAULT_EPSILON, STRICT_EPSILON
from fleetune_server.http.pages import policy
from fleetune_server.http.pages import privacy as privacy_page
from fleetune_server.http.pages.document import LANGUAGES
from fleetune_server.settings import Settings

# Change the policy's words, the field table or a promise, and this differs: raise policy.REVISION, so that
# everyone is asked again, and enter the new digest.
DIGESTS = {1: "8e1fc98469a39b8e", 2: "b05a0c4810009d47", 3: "3bea89207708755e", 4: "c91d4796327654d8"}


class Page(HTMLParser):
    """Tags opened and not closed, every tag seen, and every address."""

    VOID = ("meta", "link", "img", "br", "wbr", "input", "hr")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_explains_every_field_in_well_formed_html(language: str) -> None:
    text = privacy_page.render(language, Settings())
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.tags.count("h1") == page.tags.count("main") == 1
    assert page.tags.count("tr") == 1 + len(FIELDS)
    assert not {"script", "style", "form", "iframe"} & set(page.tags)
    assert not any(name.startswith("on") or name == "style" for name in page.attributes)
    assert not any(":" in address or address.startswith("//") for address in page.addresses), (
        "own origin only"
    )
    words = re.sub("</?code>", "`", text)
    for field in FIELDS:
        assert html.escape(field.what[language]) in words
        assert html.escape(field.why[language]) in words
    assert html.escape(HONESTY[language]) in text
    assert "{" not in text.replace(html.escape('{"inlining+vectorization": 5.12}'), "")


def test_the_promises_are_those_of_the_code() -> None:
    assert {
        "epsilon": DEFAULT_EPSILON,
        "strict": STRICT_EPSILON,
        "per_day": Terms().per_day,
        "cap": CAP,
        "window": WINDOW_DAYS,
        "feedback_cap": round(app_feedback.CAP / feedback.EPSILON),
        "feedback_epsilon": feedback.EPSILON,
    } == privacy_page.PROMISES
    assert app_feedback.PER_DAY == 1


def test_the_operators_settings_are_stated() -> None:
    text = privacy_page.render("en", Settings(hold_seconds=7200, retention_days=9))
    assert "for about 2 hours" in text
    assert "for 9 days" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_operator_is_named_or_said_to_be_unnamed(language: str) -> None:
    named = privacy_page.render(language, Settings(operator='A & B <Ltd>, "privacy"@example.org'))
    assert "A &amp; B &lt;Ltd&gt;, &quot;privacy&quot;@example.org." in named
    unnamed = privacy_page.render(language, Settings())
    assert html.escape(privacy_page.NOBODY[language]) in unnamed
    assert html.escape(privacy_page.NOBODY[language]) not in named


def test_a_change_of_the_policy_asks_everyone_again() -> None:
    words = [getattr(policy, name) for name in sorted(vars(policy)) if name.isupper() and name != "REVISION"]
    what = repr((words, FIELDS, HONESTY, NEVER_SENT, COVERS, privacy_page.PROMISES))
    assert hashlib.sha256(what.encode()).hexdigest()[:16] == DIGESTS[policy.REVISION]


async def get(route: Route, path: str, headers: dict[str, str]) -> httpx.Response:
    transport = httpx.ASGITransport(Starlette(routes=[route]))
    async with httpx.AsyncClient(transport=transport, base_url="http://fleetune.test") as http:
        return await http.get(path, headers=headers)


@pytest.mark.parametrize(
    ("query", "accept", "language"),
    [
        ("", None, "en"),
        ("", "ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        ("", "de, ru;q=0.5", "ru"),
        ("", "en-GB", "en"),
        ("?lang=ru", "en", "ru"),
        ("?lang=xx", "ru", "ru"),
    ],
)
async def test_the_page_speaks_the_readers_language(
    query: str, accept: str | None, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Here:
        settings = Settings()

    monkeypatch.setattr(privacy_page, "state_of", lambda request: Here)
    headers = {"accept-language": accept} if accept else {}
    answer = await get(Route("/privacy", privacy_page.page), f"/privacy{query}", headers)
    assert answer.headers["content-language"] == language
    assert f'<html lang="{language}">' in answer.text


async def test_global_privacy_control_is_declared() -> None:
    answer = await get(Route("/.well-known/gpc.json", privacy_page.gpc), "/.well-known/gpc.json", {})
    assert answer.json() == {"gpc": True, "lastUpdate": privacy_page.GPC_UPDATED}
