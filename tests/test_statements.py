"""Every sentence of the policy, the field table and the pages that claims something names the tests that hold it."""

from __future__ import annotations

import tomllib

from e2e import statements
from e2e.statements import Sentence, Table

THERE = "tests/test_statements.py::test_every_sentence_that_claims_something_has_tests"


def test_every_sentence_that_claims_something_has_tests() -> None:
    table = Table(**tomllib.loads(statements.TABLE.read_text()))
    assert statements.problems(statements.read(), table) == []


def test_the_sentences_are_those_of_the_sources() -> None:
    """A few that are known, whole and in both languages."""
    texts = {sentence.texts for sentence in statements.read()}
    assert (
        "Of a rare kind there may be few browsers.",
        "Браузеров редкого вида может быть немного.",
    ) in texts
    assert ("Never the time of day.", "Время суток не отправляется.") in texts
    assert ("Raising it asks you again.", "Чтобы его повысить, вас спросят снова.") in texts
    assert ("cookies or any stable identifier", "cookie и любые идентификаторы") in texts
    assert ("Telemetry is off.", "Телеметрия выключена.") in texts
    assert all(len(pair) == 2 and all(pair) for pair in texts)


def test_sentences_end_at_a_stop_before_a_capital_and_pair_up() -> None:
    texts = {
        "en": "It is kept 2 days. ε = 1.5 is less.",
        "ru": "Хранится 2 дн. подряд. Здесь ε = 1,5 меньше.",
    }
    assert list(statements.split("one", texts)) == [
        ("It is kept 2 days.", "Хранится 2 дн. подряд."),
        ("ε = 1.5 is less.", "Здесь ε = 1,5 меньше."),
    ]


def test_whatever_does_not_fit_is_named() -> None:
    old, new = Sentence("words", "a.b", ("We keep it.", "Храним.")), Sentence("words", "a.b", ("No.", "Нет."))
    label = Sentence("words", "a.c", ("Yes", "Да"))

    def found(sentences: list[Sentence], *tests: str, nothing: tuple[str, ...] = ("a.c",)) -> list[str]:
        table = Table({"words": {old.address: tests}}, {}, {"words": nothing})
        return statements.problems(sentences, table)

    assert found([old, label], THERE) == []
    assert found([old, label]) == ["words: no test holds " + f"{old.address!r}: We keep it."]
    assert found([new, label], THERE) == [
        f"words: no test holds {new.address!r}: No.",
        f"words: no sentence is {old.address!r}",
    ]
    assert found([old, label], THERE, nothing=()) == [f"words: no test holds {label.address!r}: Yes"]
    assert found([old], THERE) == ["words: no sentence is 'a.c'"]
    assert found([old, label], THERE + "_at_all", "tests/gone.py::test_a") == [
        "there is no test tests/gone.py::test_a",
        f"there is no test {THERE}_at_all",
    ]
    assert found([old, label, label], THERE) == ["words: two sentences are called 'a.c'"]
