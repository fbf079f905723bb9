"""`/data/`: what the daily export holds, field by field, how to read it and how to check its signature."""

# ruff: noqa: E501 - sentences in two languages read better unbroken
from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from fleetune_server.http.pages.document import Document, table
from fleetune_server.http.pages.functions import navigation
from fleetune_server.http.pages.public_words import say
from fleetune_server.training.aggregate import GROUP

SCHEMA = 1
LICENCE = "CC0-1.0"
SHOWN = 60  # days that the page lists
# The columns, in the order of the CSV: what each is, in English and Russian.
FIELDS: Mapping[str, Mapping[str, str]] = {
    "kernel": {"en": "Name of the function.", "ru": "Имя функции."},
    "profileSignature": {
        "en": "Hash of the function's entry in the catalogue. It changes when the function does; its name does not.",
        "ru": "Хеш записи функции в каталоге. Меняется вместе с функцией, а имя остаётся.",
    },
    "log2Size": {
        "en": "Size class: the base-2 logarithm of the number of elements, rounded.",
        "ru": "Класс размера: двоичный логарифм числа элементов, округлённый.",
    },
    "dtype": {"en": "Type of the elements.", "ru": "Тип элементов."},
    "pattern": {
        "en": "Kind of data; +copied: each call copies its arrays into WebAssembly memory and back.",
        "ru": "Вид данных; +copied: массивы копируются в память WebAssembly и обратно при каждом вызове.",
    },
    "browser": {"en": "chromium, firefox, webkit or other.", "ru": "chromium, firefox, webkit или other."},
    "browserVersion": {
        "en": "Major version; 0: all versions that have too few reports of their own, together.",
        "ru": "Основная версия; 0: все версии, у которых мало собственных отчётов, вместе.",
    },
    "simd": {
        "en": "1 if the browser has WebAssembly SIMD.",
        "ru": "1, если в браузере есть WebAssembly SIMD.",
    },
    "relaxedSimd": {"en": "1 if it has relaxed SIMD.", "ru": "1, если есть relaxed SIMD."},
    "implementation": {"en": "Name of the build that was measured.", "ru": "Имя измеренной сборки."},
    "reports": {
        "en": f"Reports behind this row, at least {GROUP}.",
        "ru": f"Отчётов за этой строкой, не меньше {GROUP}.",
    },
    "speedup": {
        "en": "Estimate: how many times as fast as plain JavaScript in the same browsers.",
        "ru": "Оценка: во сколько раз быстрее обычного JavaScript в тех же браузерах.",
    },
    "low": {"en": "Lower end of its 95% interval.", "ru": "Нижняя граница интервала 95 %."},
    "high": {"en": "Upper end of its 95% interval.", "ru": "Верхняя граница интервала 95 %."},
    "logSpeedup": {"en": "Natural logarithm of the estimate.", "ru": "Натуральный логарифм оценки."},
    "sd": {"en": "Its standard deviation.", "ru": "Его стандартное отклонение."},
}
CODE = """import csv, urllib.request as web
rows = list(csv.DictReader(web.urlopen("{address}").read().decode().splitlines()))
print(max(rows, key=lambda row: float(row["speedup"])))"""


def about(day: str, version: int, published: float) -> dict[str, Any]:
    """What stands above the rows of the JSON."""
    return {
        "schema": SCHEMA,
        "date": day,
        "modelVersion": version,
        "modelPublished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(published)),
        "licence": LICENCE,
        "leastReports": GROUP,
        "fields": {name: words["en"] for name, words in FIELDS.items()},
    }


def render(language: str, days: Sequence[str], today: str, address: str) -> str:
    """The page at `address`; `days` are those that were written, newest first."""
    page = Document(
        language,
        say(language, "data.title"),
        "../",
        say(language, "data.lead", least=GROUP),
        "./",
        navigation(language, "../"),
    )
    fields = (
        f'<tr><th scope="row"><code>{name}</code></th><td>{escape(words[language])}</td></tr>'
        for name, words in FIELDS.items()
    )
    files = (
        f'<tr><th scope="row">{day}</th>'
        + "".join(
            f'<td><a href="{day}.{kind}">{kind.upper()}</a> <a href="{day}.{kind}.sig">{say(language, "data.signature")}</a></td>'
            for kind in ("json", "csv")
        )
        + "</tr>"
        for day in list(dict.fromkeys([today, *days]))[:SHOWN]
    )
    head = [say(language, "data.field"), say(language, "data.meaning")]
    paragraphs = "".join(
        f"<p>{escape(say(language, key, least=GROUP))}</p>"
        for key in ("data.private", "data.settled", "data.stable")
    )
    return page.html(f"""<section>
<h1>{escape(page.title)}</h1>
<p class="lead">{escape(page.description)}</p>
<p>{say(language, "data.licence")}</p>
</section>
<section><h2>{say(language, "data.files")}</h2>
{table(say(language, "data.files"), [say(language, "data.day"), "JSON", "CSV"], files)}
</section>
<section><h2>{say(language, "data.fields")}</h2>
{table(say(language, "data.fields"), head, fields, "fields")}
</section>
<section><h2>{say(language, "data.what")}</h2>
{paragraphs}
</section>
<section><h2>{say(language, "data.read")}</h2>
<pre tabindex="0">{escape(CODE.format(address=f"{address}{today}.csv"))}</pre>
<p>{say(language, "data.check")}</p>
</section>""")
