"""`python -m e2e.statements --json`: every sentence that claims something, and the tests that hold it.

The sentences come from their sources: the privacy policy, the field table and the page's words, in both languages.
`statements.toml` names the tests of each. An address ends in a digest of the words, so a sentence that changes
is untested until somebody has looked at its tests again.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests import node

from e2e.flake import Recorder
from e2e.server import ROOT
from fleetune import fields, proof
from fleetune_server.http.pages import new_function, policy, public_words

TABLE = Path(__file__).with_suffix(".toml")
WORDS = ROOT / "browser" / "web" / "words"
LANGUAGES = ("en", "ru")
PUBLIC = ("proofs.", "write.")  # keys of the public pages' words
_END = re.compile(r"(?<=[.!?]) (?=[A-ZА-ЯЁε])")  # of a sentence: not of "30 дн. только"


@dataclass(frozen=True)
class Sentence:
    """One sentence in both languages; blanks such as `{hold}` are left as they are in the source."""

    source: str  # policy, fields, public or words: a part of the table
    name: str  # a key of words, a field, or how a sentence of the policy begins
    texts: tuple[str, ...]  # by LANGUAGES

    @property
    def address(self) -> str:
        """Its key in the table; differs when a word of it does."""
        return f"{self.name} #{hashlib.sha256(repr(self.texts).encode()).hexdigest()[:4]}"


def split(name: str, texts: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    """The sentences of a paragraph, paired; a ValueError where one language has more of them."""
    parts = [_END.split(texts[language]) for language in LANGUAGES]
    if len({len(part) for part in parts}) != 1:
        raise ValueError(f"{name}: not the same sentences in every language: {parts}")
    return zip(*parts, strict=True)


def _paragraphs(english: Any, other: Any) -> Iterator[dict[str, str]]:
    """All strings of two nested tuples of one shape, side by side."""
    if isinstance(english, str):
        yield {"en": english, "ru": other}
        return
    for one, two in zip(english, other, strict=True):
        yield from _paragraphs(one, two)


def of_policy() -> Iterator[Sentence]:
    """Of /privacy without its field table: whatever the module `policy` holds in both languages."""
    for constant in vars(policy).values():
        if isinstance(constant, Mapping) and constant.keys() == set(LANGUAGES):
            for paragraph in _paragraphs(constant["en"], constant["ru"]):
                for texts in split(paragraph["en"], paragraph):
                    yield Sentence("policy", " ".join(texts[0].split()[:5]), texts)


def of_fields() -> Iterator[Sentence]:
    """Of the field table, and what stands below it."""
    named = {
        f"{field.name}, {part}": getattr(field, part) for field in fields.FIELDS for part in ("what", "why")
    }
    named |= {f"cover, {cover}": texts for cover, texts in fields.COVERS.items()}
    named |= {"honesty": fields.HONESTY}
    never = list(_paragraphs(fields.NEVER_SENT["en"], fields.NEVER_SENT["ru"]))
    named |= {f"never, {texts['en']}": texts for texts in never}
    for name, paragraph in named.items():
        for i, texts in enumerate(split(name, paragraph), 1):
            yield Sentence("fields", f"{name}, {i}", texts)


def of_public() -> Iterator[Sentence]:
    """Of the public pages, what is proved of builds and what becomes of a function that a visitor writes."""
    english, russian = (
        {**public_words.WORDS[language], **new_function.WORDS[language]} for language in LANGUAGES
    )
    named: dict[str, tuple[str, ...]] = {
        key: (text, russian[key]) for key, text in english.items() if key.startswith(PUBLIC)
    }
    named |= {f"proof, {letter or 'none'}": tuple(words.values()) for letter, words in proof.VERDICTS.items()}
    for text in (proof.ASSUMED, proof.ALWAYS, proof.FLOATS):
        named |= {f"proof, {text['en']}": tuple(text.values())}
    for name, texts in named.items():
        yield Sentence("public", name, texts)


def of_words() -> Iterator[Sentence]:
    """Of the page, the widget and the dashboard: one a key, which may be more than one sentence."""
    load = f"await Promise.all({json.dumps(LANGUAGES)}.map((name) => import(`./${{name}}.js`)))"
    modules = node.evaluate(f"console.log(JSON.stringify(({load}).map((one) => one.default)))", cwd=WORDS)
    for key in modules[0]:
        yield Sentence("words", key, tuple(module[key] for module in modules))


def read() -> list[Sentence]:
    """All sentences, whether they claim something or not."""
    return [*of_policy(), *of_fields(), *of_public(), *of_words()]


@dataclass(frozen=True)
class Table:
    """What `statements.toml` says, each part by source."""

    claims: Mapping[str, Mapping[str, Sequence[str]]]  # address → tests, `file::function`
    untested: Mapping[str, Sequence[str]]  # names of claims about other things than privacy, data and size
    nothing: Mapping[str, Sequence[str]]  # names of what claims nothing: headings, labels, buttons

    def claimless(self, sentence: Sentence) -> bool:
        return sentence.name in self.nothing.get(sentence.source, ())

    def excused(self, sentence: Sentence) -> bool:
        """Whether it needs no test."""
        return self.claimless(sentence) or sentence.name in self.untested.get(sentence.source, ())

    def tests(self, sentence: Sentence) -> Sequence[str]:
        return self.claims.get(sentence.source, {}).get(sentence.address, ())

    def every_test(self) -> list[str]:
        return sorted({test for part in self.claims.values() for tests in part.values() for test in tests})


def problems(sentences: Sequence[Sentence], table: Table) -> list[str]:
    """Claims without a test, entries without a sentence, and tests that there are not."""
    found = [
        f"{sentence.source}: no test holds {sentence.address!r}: {sentence.texts[0]}"
        for sentence in sentences
        if not table.excused(sentence) and not table.tests(sentence)
    ]
    names = Counter((sentence.source, sentence.name) for sentence in sentences)
    found += [f"{source}: two sentences are called {name!r}" for (source, name), n in names.items() if n > 1]
    addresses = {(sentence.source, sentence.address) for sentence in sentences}
    listed = {(source, address) for source, part in table.claims.items() for address in part} - addresses
    for excused in (table.untested, table.nothing):
        listed |= {(source, name) for source, part in excused.items() for name in part} - names.keys()
    found += [f"{source}: no sentence is {entry!r}" for source, entry in sorted(listed)]
    return found + [f"there is no test {test}" for test in table.every_test() if not _exists(test)]


def _exists(test: str) -> bool:
    path, _, function = test.partition("::")
    file = ROOT / path
    nodes = ast.walk(ast.parse(file.read_text())) if file.is_file() else ()
    return any(
        isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef)) and one.name == function for one in nodes
    )


def failing(table: Table) -> list[str]:
    """Run the tests of the table that need no browser; those that fail."""
    recorder = Recorder()
    with redirect_stdout(sys.stderr):
        pytest.main(["-q", *(test for test in table.every_test() if test.startswith("tests/"))], [recorder])
    return [f"{run.test} fails: {run.error}" for run in recorder.runs if run.error]


def markdown(sentences: Sequence[Sentence], table: Table) -> Iterator[str]:
    """Text → state in which it is said → tests."""
    yield from ("| text | state | tests |", "| --- | --- | --- |")
    for sentence in sentences:
        if not table.claimless(sentence):
            text = "<br>".join(text.replace("|", r"\|") for text in sentence.texts)
            tests = "<br>".join(f"`{test}`" for test in table.tests(sentence))
            yield f"| {text} | {sentence.source}: {sentence.name} | {tests} |"


def main(argv: Sequence[str] | None = None) -> int:
    """Print figures or the table; 1 if a claim has no test or, with --run, one of its tests fails."""
    parser = argparse.ArgumentParser(prog="python -m e2e.statements", description=__doc__)
    parser.add_argument("--run", action="store_true", help="run the tests that need no browser")
    parser.add_argument("--markdown", action="store_true", help="print every claim with its tests")
    parser.add_argument("--json", action="store_true", help="print only the figures, as JSON")
    args = parser.parse_args(argv)
    sentences, table = read(), Table(**tomllib.loads(TABLE.read_text()))
    failures = problems(sentences, table) + (failing(table) if args.run else [])
    claims = [sentence for sentence in sentences if not table.claimless(sentence)]
    tested = sum(bool(table.tests(sentence)) for sentence in claims)
    if args.json:
        figures = {"sentences": len(claims), "tested": tested, "failures": failures}
        print(json.dumps(figures, ensure_ascii=False))
        return bool(failures)
    if args.markdown:
        print("\n".join(markdown(sentences, table)))
    print(f"{tested} of {len(claims)} sentences tested", *failures, sep="\n", file=sys.stderr)
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
