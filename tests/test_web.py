"""The web's modules: every export is imported somewhere, and imports between folders go one way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
WEB = ROOT / "browser" / "web"
CALLERS = ("tests", "e2e", "kernels_wasm/lab", "server/fleetune_server")
PUBLIC = {
    "embed/adapters.js",  # embedding pages import it
    "embed/fleetune.js",  # this too
    "shared/arguments.js",  # the generated dispatchers are given all of it
}
IMPORTS = {  # folder → what its scripts may import, beside itself
    "page": {"shared"},
    "dashboard": {"shared"},
    "embed": {"shared"},
    "workers": {"shared", "embed"},
    "shared": {"words", "uplot"},  # uPlot's own module lies beside our folders
    "words": set[str](),
}
EXPORT = re.compile(r"^export (?:async )?(?:function|const|let|class) (\w+)", re.MULTILINE)


def unused(modules: Mapping[str, str], callers: Mapping[str, str]) -> set[tuple[str, str]]:
    """(module, name) of each export that no other file uses which mentions the module's file name."""
    found = set()
    for module, source in modules.items():
        file = PurePosixPath(module).name
        others = [text for path, text in {**modules, **callers}.items() if path != module and file in text]
        for name in EXPORT.findall(source):
            if module not in PUBLIC and not any(re.search(rf"\b{name}\b", text) for text in others):
                found.add((module, name))
    return found


def crossings(modules: Mapping[str, str]) -> set[tuple[str, str]]:
    """(module, folder) of each import, static or dynamic, that `IMPORTS` does not allow."""
    found = set()
    for module, source in modules.items():
        own = module.partition("/")[0]
        for folder in re.findall(r'(?:from |import |import\()"\.\./(\w+)/[^"]+\.js"', source):
            if folder not in IMPORTS[own]:
                found.add((module, folder))
    return found


def scripts() -> dict[str, str]:
    return {path.relative_to(WEB).as_posix(): path.read_text() for path in WEB.rglob("*.js")}


def test_imports_between_folders_go_one_way() -> None:
    modules = scripts()
    assert {name.partition("/")[0] for name in modules} == IMPORTS.keys()
    assert crossings(modules) == set()
    assert crossings({"shared/a.js": 'const { b } = await import("../page/b.js");'}) == {
        ("shared/a.js", "page")
    }


def test_no_export_is_left_that_nobody_imports() -> None:
    folders = [path for folder in CALLERS for path in (ROOT / folder).rglob("*")]
    callers = {str(path): path.read_text() for path in folders if path.suffix in (".py", ".js", ".mjs")}
    assert unused(scripts(), callers) == set()


def test_a_planted_export_is_found() -> None:
    modules = {
        "shared/a.js": "export const used = 1;\nexport async function left() {}\nexport class Left {}\n",
        "page/b.js": 'import { used } from "../shared/a.js";\nused;\n',
        "page/c.js": "const left = 1; // a name of its own\n",
    }
    assert unused(modules, {}) == {("shared/a.js", "left"), ("shared/a.js", "Left")}


# Where browsers let pages keep something; all of it is the site's data.
PLACES = (
    "indexedDB", "caches", "localStorage", "sessionStorage", "cookie", "cookieStore", "getDirectory",
    "openDatabase", "requestFileSystem", "showSaveFilePicker", "sharedStorage",
)  # fmt: skip
# What a browser tells pages about itself and its user beside what they may do with it.
ABOUT = re.compile(
    r"\bnavigator\)?\??\.(?!serviceWorker|locks|userActivation|clipboard\.writeText)(\w+)|\b(screen|devicePixelRatio|deviceMemory|"
    r"getBattery|enumerateDevices|getTimezoneOffset|resolvedOptions|WEBGL_\w+|toDataURL|getImageData)\b"
)
# The same, taken out of it by name.
TAKEN_OUT = re.compile(r"\{([^{}]*)\} = [^;\n{}]*\bnavigator\b\)?(?: \?\? \{\})?;")


def code(source: str) -> str:
    """A script without its comments."""
    return re.sub(r"/\*.*?\*/|(?<![:\"'`])//[^\n]*", "", source, flags=re.DOTALL)


def test_what_pages_keep_is_in_the_database_and_the_cache_alone() -> None:
    found = {
        (place, name)
        for name, source in scripts().items()
        for place in PLACES
        if not name.startswith("words/") and re.search(rf"\b{place}\b", code(source))
    }
    assert found == {
        ("indexedDB", "shared/database.js"),
        ("indexedDB", "shared/storage.js"),
        ("caches", "page/sw.js"),
        ("caches", "page/offline.js"),
    }


def test_what_pages_ask_their_browser_about_itself_is_a_short_list() -> None:
    """Family, version, system and cores make the coarse environment; the languages choose the words."""
    found = {
        (next(filter(None, match.groups())), name)
        for name, source in scripts().items()
        if not name.startswith("words/")
        for match in ABOUT.finditer(code(source))
    } | {
        (field, name)
        for name, source in scripts().items()
        for fields in TAKEN_OUT.findall(code(source))
        for field in re.findall(r"(?:^|,)\s*(?!locks)(\w+)", fields)
    }
    assert found == {
        ("userAgent", "shared/environment.js"),
        ("hardwareConcurrency", "shared/environment.js"),
        ("userAgent", "embed/kept.js"),  # whose timings these are; stays in the database
        ("hardwareConcurrency", "embed/kept.js"),
        ("hardwareConcurrency", "embed/adapters.js"),  # how many threads are worth a try
        ("gpu", "embed/adapters.js"),  # whether a provider may work
        ("globalPrivacyControl", "shared/consent_record.js"),
        ("globalPrivacyControl", "shared/rpc.js"),
        ("languages", "shared/i18n.js"),
        ("connection", "embed/widget.js"),  # whether data should be saved
        ("devicePixelRatio", "page/speedup_chart.js"),  # how finely to draw
    }
