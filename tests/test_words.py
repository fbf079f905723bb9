"""The page's words: every language has every key, and English is what the markup says."""

from __future__ import annotations

import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

WEB = Path(__file__).parents[1] / "browser" / "web"
KERNELS = WEB.parents[1] / "kernels_wasm" / "dist"
LANGUAGES = ("en", "ru")


def exported(statement: str) -> Any:
    """The `w` that a module has."""
    browser = "globalThis.location = { search: '' }; globalThis.navigator ??= { languages: [] };"
    script = f"{browser} {statement}; console.log(JSON.stringify(w))"
    out = subprocess.run(
        ["node", "--input-type=module", "-e", script], cwd=WEB, capture_output=True, check=True, text=True
    )
    return json.loads(out.stdout)


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


def test_everything_that_the_catalogue_names_is_explained_in_every_language() -> None:
    tables = exported("const { TABLES: w } = await import('./glossary.js')")
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


def imports(module: Path) -> set[Path]:
    """All that a module has before it runs, itself included."""
    found, waiting = set[Path](), [module]
    while waiting:
        script = waiting.pop()
        if script not in found:
            found.add(script)
            named = re.findall(r'^import .*?"(\./[^"]+)";$', script.read_text(), re.MULTILINE)
            waiting += [script.parent / name for name in named]
    return {path.resolve() for path in found}


def test_the_page_asks_for_its_modules_at_once_and_first_for_what_is_shown_first() -> None:
    markup = (WEB / "index.html").read_text()
    asked = [WEB / path for path in re.findall(r'(?:src|modulepreload" href)="static/([^"]+\.js)"', markup)]
    first = imports(WEB / "first.js")
    assert asked[0] == WEB / "first.js"
    assert set(asked[: len(first)]) == first
    assert set(asked) == imports(WEB / "page.js")
    assert len(asked) == len(set(asked))
