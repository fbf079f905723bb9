"""The page's words: every language has every key, and English is what the markup says."""

from __future__ import annotations

import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

WEB = Path(__file__).parents[1] / "browser" / "web"
LANGUAGES = ("en", "ru")


def words(language: str) -> dict[str, str]:
    script = f"import w from './words/{language}.js'; console.log(JSON.stringify(w))"
    out = subprocess.run(
        ["node", "--input-type=module", "-e", script], cwd=WEB, capture_output=True, check=True, text=True
    )
    table: dict[str, str] = json.loads(out.stdout)
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


@pytest.mark.parametrize("page", sorted(WEB.glob("*.html")), ids=lambda path: path.name)
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
    named = {key for script in WEB.glob("*.js") for key in literal.findall(script.read_text())}
    assert named <= english.keys()
