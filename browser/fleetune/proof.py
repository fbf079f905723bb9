"""What is proved of a variant, in words: the verdict, the sizes it holds for, and what it takes for granted.

A proof compares a variant with the kernel's scalar module (kernels_wasm/forge/README.md says how).
"""

# ruff: noqa: E501 - sentences in two languages read better unbroken
from __future__ import annotations

import re
from collections.abc import Mapping

from fleetune.manifest import SCALAR, Kernel, Variant

Words = Mapping[str, str]

# By the letter of `Variant.proof`; without a letter nothing was tried.
VERDICTS: Mapping[str, Words] = {
    "E": {
        "en": "Equal to the plain module {scope}, bit for bit.",
        "ru": "Совпадает с обычным модулем бит в бит {scope}.",
    },
    "R": {
        "en": "Equal to the plain module {scope} up to reassociation (the order of float sums and products); the difference on values from −1 to 1 was at most {difference}.",
        "ru": "Совпадает с обычным модулем {scope} с точностью до порядка сложений и умножений чисел с плавающей точкой; на значениях от −1 до 1 разница была не больше {difference}.",
    },
    "F": {
        "en": "Equal to the plain module {scope} up to reassociation and fusing (multiply-adds that round once); the difference on values from −1 to 1 was at most {difference}.",
        "ru": "Совпадает с обычным модулем {scope} с точностью до порядка сложений и умножений с одним округлением на двоих; на значениях от −1 до 1 разница была не больше {difference}.",
    },
    "U": {
        "en": "Not decided: tested only, on {tested} inputs beside the plain module; the proof reached n = {n}.",
        "ru": "Не решено: только испытано рядом с обычным модулем, входных данных: {tested}; доказательство дошло до n = {n}.",
    },
    "": {
        "en": "Nothing is proved; each browser compares its results with JavaScript's before it is used.",
        "ru": "Ничего не доказано; каждый браузер сравнивает его результаты с JavaScript, прежде чем его использовать.",
    },
    SCALAR: {
        "en": "The plain module, with which the others are compared.",
        "ru": "Обычный модуль, с которым сравниваются остальные.",
    },
}
SCOPE: Mapping[bool, Words] = {  # whether a proof is for sizes of its own
    False: {"en": "for every n up to {n}", "ru": "при каждом n до {n}"},
    True: {"en": "up to N = {n} ({sizes})", "ru": "до N = {n} ({sizes})"},
}
ASSUMED: Words = {"en": "Assumed: {what}.", "ru": "Принято без доказательства: {what}."}
# What every proof takes for granted, and every proof about floats.
ALWAYS: Words = {
    "en": "arrays do not overlap; words are aligned, bytes lie at odd addresses",
    "ru": "массивы не пересекаются; слова выровнены, байты лежат по нечётным адресам",
}
FLOATS: Words = {"en": "NaN payloads are not compared", "ru": "биты внутри NaN не сравниваются"}
# The prover's own English, and the same in Russian; figures stay.
RUSSIAN: Mapping[str, str] = {
    r"for n up to N: n by n, n by n/2\+1 and n/2\+1 by n": "n до N: n на n, n на n/2+1 и n/2+1 на n",
    r"every width up to N with heights (.*) to (.*)": r"каждая ширина до N при высоте от \1 до \2",
    r"every n up to N with ([\d, ]+) and (\d+) entries": r"каждое n до N, таблица из \1 и \2 чисел",
    r"every n up to N with strides ([\d, ]+) and (\d+)": r"каждое n до N с шагом \1 и \2",
    r"every width up to N, one row with limit 3 and 0, two rows with limit 1": (
        "каждая ширина до N: одна строка с пределом 3 и 0, две строки с пределом 1"
    ),
    r"up to (\d+) bytes past an array may be read": r"могут быть прочитаны байты за концом массива, до \1",
    r"thresholds above N only tested: (.*)": r"размеры около порогов больше N только испытаны: \1",
}


def in_words(kernel: Kernel, variant: Variant, language: str = "en") -> str:
    """Verdict, sizes and assumptions as one short text."""
    letter, n = variant.proof[:1], variant.proof[1:]
    if not letter and variant.name == SCALAR:
        letter = SCALAR
    scope = SCOPE[bool(variant.scope)][language].format(n=n, sizes=own(variant.scope, language))
    text = VERDICTS[letter][language].format(
        scope=scope, n=n, difference=_power(variant.difference or 0.0, language), tested=variant.tested
    )
    if letter not in ("E", "R", "F"):
        return text
    floats = any(param.type.startswith("f") for param in kernel.params)
    what = [ALWAYS[language], *([FLOATS[language]] if floats else ())]
    what += [own(text, language) for text in variant.assumed]
    return f"{text} {ASSUMED[language].format(what='; '.join(what))}"


def own(text: str, language: str) -> str:
    """A phrase of the prover's in that language; as it is where nobody translated it."""
    for pattern, russian in RUSSIAN.items() if language == "ru" else ():
        if re.fullmatch(pattern, text):
            return re.sub(pattern, russian, text)
    return text


def _power(value: float, language: str) -> str:
    """4.8e-07 as 4.8e-7, with the language's own comma."""
    text = f"{value:.2g}".replace("e-0", "e-")
    return text.replace(".", ",") if language == "ru" else text
