"""The page's words: every language has every key, and English is what the markup says."""

from __future__ import annotations

import json
import math
import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests import node

from fleetune import rating
from fleetune.app.ledger import WINDOW_DAYS
from fleetune.privacy import DEFAULT_EPSILON, STRICT_EPSILON, WORD
from fleetune.rating import truthful
from fleetune_server.publish.history import LEAST_SESSIONS

WEB = Path(__file__).resolve().parents[1] / "browser" / "web"
KERNELS = WEB.parents[1] / "kernels_wasm" / "dist"
LANGUAGES = ("en", "ru")


def exported(statement: str) -> Any:
    """The `w` that a module has."""
    browser = "globalThis.location = { search: '' }; globalThis.navigator ??= { languages: [] };"
    script = f"{browser} {statement}; console.log(JSON.stringify(w))"
    return node.evaluate(script, cwd=WEB)


def words(language: str) -> dict[str, str]:
    table: dict[str, str] = exported(f"const {{ default: w }} = await import('./words/{language}.js')")
    return table


class Marked(HTMLParser):
    """Collects (key, text) of every element with data-i18n, and the keys of data-i18n-label."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}
        self.labels: set[str] = set()
        self._key: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self._key = named.get("data-i18n")
        if self._key is not None:
            self.texts.setdefault(self._key, "")
        if label := named.get("data-i18n-label"):
            self.labels.add(label)

    def handle_data(self, data: str) -> None:
        if self._key is not None:
            self.texts[self._key] = data
            self._key = None


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_keys_and_the_same_blanks(language: str) -> None:
    english, other = words("en"), words(language)
    assert other.keys() == english.keys()
    for key, text in other.items():
        assert text.strip()
        assert set(re.findall(r"\{(\w+)\}", text)) == set(re.findall(r"\{(\w+)\}", english[key])), key


@pytest.mark.parametrize("page", sorted(WEB.rglob("*.html")), ids=lambda path: path.parent.name)
def test_the_markup_says_what_the_english_table_says(page: Path) -> None:
    english = words("en")
    marked = Marked()
    marked.feed(page.read_text())
    assert marked.texts, "the page marks no words"
    assert {key: english[key] for key in marked.texts} == marked.texts
    assert marked.labels <= english.keys()


def test_every_key_that_the_scripts_name_exists() -> None:
    english = words("en")
    literal = re.compile(r'\bsay\(\s*"([^"]+)"')
    named = {key for script in WEB.rglob("*.js") for key in literal.findall(script.read_text())}
    assert named <= english.keys()


def test_everything_that_the_catalogue_names_is_explained_in_every_language() -> None:
    tables = exported("const { TABLES: w } = await import('./shared/glossary.js')")
    kernels = json.loads((KERNELS / "manifest.json").read_text())["kernels"]
    ideas = {
        part for kernel in kernels for variant in kernel["variants"] for part in variant["name"].split("+")
    }
    patterns = {pattern for kernel in kernels for pattern in kernel["patterns"]}
    assert tables["IDEAS"].keys() == ideas | {"js", "js-tuned"}
    assert tables["PATTERNS"].keys() == patterns
    for entry in (*tables["IDEAS"].values(), *tables["PATTERNS"].values()):
        assert entry.keys() == set(LANGUAGES)
    # The catalogue says it in English.
    assert tables["KERNELS"].keys() == {kernel["name"] for kernel in kernels}
    assert all(entry.keys() == set(LANGUAGES) - {"en"} for entry in tables["KERNELS"].values())


def figures() -> dict[str, set[float]]:
    """The numbers that sentences about privacy hold as words do, each from the code that makes it true."""
    best_of_hundred = round(100 * truthful(rating.EPSILON) / WORD)
    terms = {DEFAULT_EPSILON, STRICT_EPSILON}
    return {
        "consent.strict": {STRICT_EPSILON},
        "widget.consent": terms,
        "packet.full": {WINDOW_DAYS},
        "budget.empty": {WINDOW_DAYS},
        "budget.text": {WINDOW_DAYS},
        "satisfaction.text": {best_of_hundred, 100 - best_of_hundred, 100, rating.EPSILON},
        "satisfaction.budget": {WINDOW_DAYS},
        "dash.fewAnswers": {next(n for n in range(99) if rating.estimate(0, n).share is not None)},
        "dash.fewSessions": {LEAST_SESSIONS},
        "term.epsilon": terms | {round(math.exp(epsilon), 1) for epsilon in terms},
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_numbers_in_sentences_about_privacy_are_those_of_the_code(language: str) -> None:
    table = words(language)
    found = {
        key: {float(number.replace(",", ".")) for number in re.findall(r"\d+(?:[.,]\d+)?", table[key])}
        for key in table
        if key.split(".")[0] in ("consent", "packet", "budget", "history", "fate", "withdraw", "satisfaction")
        or key in figures()
    }
    assert {key: numbers for key, numbers in found.items() if numbers} == figures()


def test_it_is_free_software_as_the_footer_says() -> None:
    licence = (WEB.parents[1] / "LICENSE").read_text().split()
    assert " ".join(licence[:4]) == "Apache License Version 2.0,"
    project = tomllib.loads((WEB.parents[1] / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"


def imports(module: Path) -> set[Path]:
    """All that a module has before it runs, itself included."""
    found, waiting = set[Path](), [module]
    while waiting:
        script = waiting.pop()
        if script not in found:
            found.add(script)
            named = re.findall(r'^import .*?"(\.{1,2}/[^"]+)";$', script.read_text(), re.MULTILINE)
            waiting += [(script.parent / name).resolve() for name in named]
    return found


def test_the_page_asks_for_its_modules_at_once_and_first_for_what_is_shown_first() -> None:
    markup = (WEB / "page" / "index.html").read_text()
    scripts = re.findall(r'(?:src|modulepreload" href)="static/([^"]+\.js)"', markup)
    asked = [WEB / path for path in scripts if not path.startswith("uplot/")]  # the charts' library
    first = imports(WEB / "page" / "first.js")
    assert asked[0] == WEB / "page" / "first.js"
    assert set(asked[: len(first)]) == first
    assert set(asked) == imports(WEB / "page" / "page.js")
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize("language", LANGUAGES)
def test_builds_have_names_in_words(language: str) -> None:
    """Those of the catalogue, and of kernels whose optimisations nobody knows here."""
    kernels = json.loads((KERNELS / "manifest.json").read_text())["kernels"]
    names = {variant["name"] for kernel in kernels for variant in kernel["variants"]} | {"js", "js-tuned"}
    asked = json.dumps([*sorted(names), "radix4+myOwnTrick"])
    said: list[str] = exported(
        "const { buildIn } = await import('./shared/i18n.js');"
        f"const w = {asked}.map((name) => buildIn('{language}', name))"
    )
    assert len(set(said)) == len(said), "each is told from the others"
    spelled = [re.sub("JavaScript|WebAssembly", "", text) for text in said]
    assert not [text for text in spelled if re.search(r"\+|[a-z][A-Z]", text)]
    assert said[-1].endswith(", my own trick")
    parts = {part for name in names for part in name.split("+")}
    assert {f"build.{part}" for part in parts} == {key for key in words(language) if key.startswith("build.")}
