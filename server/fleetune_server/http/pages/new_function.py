"""`/functions/new`: write a plain Python function, see its JavaScript and its times. All of it happens in the page.

Its words are here too, in English and Russian. `{…}` is filled in by its script (browser/web/page/write.js).
"""

# ruff: noqa: E501 - sentences in two languages read better unbroken

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from fleetune_server.http.pages.document import Document, headers_of, language_of
from fleetune_server.http.pages.functions import navigation
from fleetune_server.http.pages.public import public_of
from fleetune_server.http.pages.public_words import say as say_public

SCRIPT = "static/page/write.js"
NAME = "alpha_blend"
EXAMPLE = f"""\
from kernels_wasm.translate.language import In, Out, i32, kernel, u8


@kernel(family="image", sizes=[16, 256, 4096, 65536])
def {NAME}(front: In[u8], back: In[u8], alpha: In[u8], out: Out[u8], n: i32) -> None:
    \"\"\"One image over another through a mask of bytes.\"\"\"
    for i in range(n):
        mixed = front[i] * alpha[i] + back[i] * (255 - alpha[i])
        out[i] = (mixed + 127) // 255
"""
INSTALL = "pip install -e '.[forge]'"
RULES = ("parameters", "statements", "expressions", "types", "calls")
# What the script says in the page's language, by its name in `data-…`.
SAID = ("starting", "translating", "running", "done", "wrong", "slow", "failed", "units", "elements")
WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "write.title": "Write a function",
        "write.lead": "Write one plain Python function. Python in your browser translates it to JavaScript, and the page runs that on random inputs and shows how long a call takes. Nothing is sent: what you write stays in this page.",
        "write.source": "The function, in Python",
        "write.run": "Translate and run",
        "write.noscript": "This page needs JavaScript.",
        "write.problems": "What has to change",
        "write.rules": "What a function may use",
        "write.parameters": "Parameters",
        "write.parameters.text": "Numbers <code>i32 u32 f32 f64</code>; arrays <code>In[…] Out[…] InOut[…] Scratch[…]</code> of <code>i8 u8 i16 u16 i32 u32 f32 f64</code>. Arrays do not overlap. The length is a parameter, usually <code>n: i32</code>.",
        "write.statements": "Statements",
        "write.statements.text": "Assignments, <code>+=</code> and its like, <code>if</code>, <code>while</code>, <code>for … in range(…)</code>, <code>break</code>, <code>continue</code>, <code>return</code>.",
        "write.expressions": "Expressions",
        "write.expressions.text": "<code>+ - * / // % &amp; | ^ ~ &lt;&lt; &gt;&gt;</code>, comparisons, <code>and or not</code>, <code>x if c else y</code>, <code>min max abs sqrt</code>, <code>x.bit_count()</code>, conversions such as <code>f32(x)</code>, other functions of the source, named numbers.",
        "write.types": "Types",
        "write.types.text": "Both sides of an operator have one type, and a variable keeps its first type. A literal takes the other side's type: a sum of f32 starts with <code>total = f32(0)</code>.",
        "write.calls": "Calls",
        "write.calls.text": "<code>@kernel(…)</code> may say how it is called: <code>sizes</code>, <code>size</code>, <code>lengths</code>, <code>ranges</code>, <code>values</code>, <code>patterns</code>, <code>family</code>, <code>tolerance</code>.",
        "write.starting": "Starting Python…",
        "write.translating": "Translating…",
        "write.running": "Running it with {count} elements…",
        "write.done": "Done.",
        "write.wrong": "Problems found: {count}.",
        "write.slow": "With {count} elements it did not end within {seconds} s and was stopped.",
        "write.failed": "It failed: {message}",
        "write.units": "ns µs ms",
        "write.elements": "{count} elements",
        "write.times": "Time a call takes in this browser",
        "write.times.text": "Random inputs within the ranges that the source declares. Each figure is the mean of the faster half of a few batches.",
        "write.size": "size",
        "write.js": "JavaScript",
        "write.jsTuned": "JavaScript that keeps f32 as doubles",
        "write.script": "The JavaScript",
        "write.compile": "To compile, prove and tune it",
        "write.compile.text": "WebAssembly is made on your own machine, in a checkout of Fleetune:",
        "write.download": "Download the source",
    },
    "ru": {
        "write.title": "Написать функцию",
        "write.lead": "Напишите одну простую функцию на Python. Python в вашем браузере переведёт её в JavaScript, а страница выполнит его на случайных данных и покажет, сколько занимает вызов. Ничего не отправляется: написанное остаётся на этой странице.",
        "write.source": "Функция на Python",
        "write.run": "Перевести и выполнить",
        "write.noscript": "Этой странице нужен JavaScript.",
        "write.problems": "Что исправить (по-английски)",
        "write.rules": "Что можно использовать в функции",
        "write.parameters": "Параметры",
        "write.parameters.text": "Числа <code>i32 u32 f32 f64</code>; массивы <code>In[…] Out[…] InOut[…] Scratch[…]</code> из <code>i8 u8 i16 u16 i32 u32 f32 f64</code>. Массивы не пересекаются. Длина — параметр, обычно <code>n: i32</code>.",
        "write.statements": "Операторы",
        "write.statements.text": "Присваивания, <code>+=</code> и подобные, <code>if</code>, <code>while</code>, <code>for … in range(…)</code>, <code>break</code>, <code>continue</code>, <code>return</code>.",
        "write.expressions": "Выражения",
        "write.expressions.text": "<code>+ - * / // % &amp; | ^ ~ &lt;&lt; &gt;&gt;</code>, сравнения, <code>and or not</code>, <code>x if c else y</code>, <code>min max abs sqrt</code>, <code>x.bit_count()</code>, преобразования, например <code>f32(x)</code>, другие функции исходника, числа с именами.",
        "write.types": "Типы",
        "write.types.text": "У обеих сторон операции один тип, а переменная сохраняет свой первый тип. Литерал принимает тип другой стороны: сумма f32 начинается с <code>total = f32(0)</code>.",
        "write.calls": "Вызовы",
        "write.calls.text": "<code>@kernel(…)</code> может сказать, как её вызывают: <code>sizes</code>, <code>size</code>, <code>lengths</code>, <code>ranges</code>, <code>values</code>, <code>patterns</code>, <code>family</code>, <code>tolerance</code>.",
        "write.starting": "Запускается Python…",
        "write.translating": "Переводится…",
        "write.running": "Выполняется, элементов: {count}…",
        "write.done": "Готово.",
        "write.wrong": "Найдено ошибок: {count}.",
        "write.slow": "При {count} элементах не закончилась за {seconds} с и была остановлена.",
        "write.failed": "Не получилось: {message}",
        "write.units": "нс мкс мс",
        "write.elements": "элементов: {count}",
        "write.times": "Сколько занимает вызов в этом браузере",
        "write.times.text": "Случайные данные в тех границах, которые названы в исходнике. Каждое число — среднее более быстрой половины нескольких замеров.",
        "write.size": "размер",
        "write.js": "JavaScript",
        "write.jsTuned": "JavaScript, где f32 хранятся с двойной точностью",
        "write.script": "Полученный JavaScript",
        "write.compile": "Скомпилировать, доказать и настроить",
        "write.compile.text": "WebAssembly делается на вашей машине, в рабочей копии Fleetune:",
        "write.download": "Скачать исходник",
    },
}


def say(language: str, key: str) -> str:
    """The words for a key, with the blanks that the script fills in."""
    return WORDS[language][key]


async def page(request: Request) -> Response:
    """`GET /functions/new`; 404 where the public pages are kept private."""
    public_of(request)
    language = language_of(request)
    return HTMLResponse(render(language), headers=headers_of(language))


def render(language: str) -> str:
    """The page in one language."""
    lead = say(language, "write.lead")
    document = Document(
        language, say(language, "write.title"), "../", lead, "new", navigation(language, "../"), script=SCRIPT
    )
    said = " ".join(f'data-{name}="{escape(say(language, f"write.{name}"))}"' for name in SAID)
    rules = "\n".join(
        f"<dt>{say(language, f'write.{rule}')}</dt><dd>{say(language, f'write.{rule}.text')}</dd>"
        for rule in RULES
    )
    return document.html(f"""<section id="write" {said}>
<p><a href="../functions?lang={language}">{say_public(language, "function.all")}</a></p>
<h1>{document.title}</h1>
<p class="lead">{lead}</p>
<p><label for="source">{say(language, "write.source")}</label></p>
<textarea id="source" class="source-text" rows="14" spellcheck="false" autocapitalize="off" autocomplete="off"
translate="no">{escape(EXAMPLE)}</textarea>
<p class="actions"><button id="run" class="primary" disabled>{say(language, "write.run")}</button></p>
<noscript><p class="notice">{say(language, "write.noscript")}</p></noscript>
<p id="status" role="status"></p>
<div id="problems" hidden><h2>{say(language, "write.problems")}</h2><ul class="notes" lang="en"></ul></div>
<details><summary>{say(language, "write.rules")}</summary><dl>
{rules}
</dl></details>
</section>
<section id="result" hidden>
<div id="times"><h2>{say(language, "write.times")}</h2>
<p>{say(language, "write.times.text")}</p>
<div class="card scroll" tabindex="0" role="region" aria-label="{say(language, "write.times")}"><table class="answers">
<thead><tr><th scope="col">{say(language, "write.size")}</th><th scope="col">{say(language, "write.js")}</th>
<th scope="col" id="doubles" hidden>{say(language, "write.jsTuned")}</th></tr></thead>
<tbody></tbody></table></div></div>
<h2>{say(language, "write.script")}</h2>
<pre id="script" tabindex="0" role="region" aria-label="{say(language, "write.script")}" translate="no"></pre>
<h2>{say(language, "write.compile")}</h2>
<p>{say(language, "write.compile.text")}</p>
<pre id="command" tabindex="0" translate="no">{escape(INSTALL)}
fleetune forge <span id="name">{NAME}</span>.py</pre>
<p><a id="download" href="#download">{say(language, "write.download")}</a></p>
</section>""")
