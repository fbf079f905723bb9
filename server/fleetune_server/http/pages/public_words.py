"""What the public pages say (functions, data, changes between versions), in English and Russian, and numbers."""

# ruff: noqa: E501 - sentences in two languages read better unbroken
from __future__ import annotations

import time
from collections.abc import Mapping

from fleetune_server.training.public import ANY, Place

BROWSERS: Mapping[str, str] = {"chromium": "Chromium", "firefox": "Firefox", "webkit": "WebKit"}

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "nav.functions": "Functions",
        "nav.data": "Data",
        "nav.changes": "Changes",
        "nav.privacy": "Privacy",
        "place.other": "Other browsers",
        "place.any": "any version",
        "place.plain": "without SIMD",
        "functions.title": "Which build is fastest where",
        "functions.lead": "{count} functions, each in several builds. For every engine and size, these pages say which build Fleetune chooses and how much faster than plain JavaScript it is.",
        "functions.search": "Find a function by name or by task, such as “hash”, “sort” or “resize”",
        "functions.find": "Find",
        "functions.write": "Write a function of your own",
        "functions.found": "“{query}”: {count} of {total} functions.",
        "functions.none": "No function matches “{query}”. These are all of them.",
        "functions.table": "Functions and their fastest builds",
        "functions.function": "function",
        "functions.hint": "The choice at a middle size, and its speed as a multiple of plain JavaScript's.",
        "function.title": "{name}: the fastest build in each engine",
        "function.description": "{summary}. Fastest build by engine and size: {best}.",
        "function.data": "Data: {pattern}",
        "function.chart": "Speed of the chosen build by size; data: {pattern}",
        "function.table": "Chosen builds by engine and size; data: {pattern}",
        "function.engine": "engine",
        "function.size": "{count} elements",
        "function.few": "Fewer than {least} reports are about this function so far.",
        "function.thin": "No figure here comes from them yet: each takes {least} about the same size, data, build and engine.",
        "function.reported": "At least {count} reports are about this function.",
        "function.own": "This function was added by the operator of this server.",
        "function.all": "All functions",
        "proofs.title": "What is proved of each build",
        "proofs.text": "Equal means proved: a program executed the build and the plain WebAssembly build side by side, on symbols instead of numbers, for each n up to the one that is named.",
        "proofs.build": "build",
        "proofs.verdict": "verdict",
        "history.title": "How the choice changed",
        "history.text": "Data: {pattern}; {size}. A row is added when a published version chooses another build than the one before it; its figure is the one of that day.",
        "history.since": "since (UTC)",
        "history.engine": "engine",
        "history.build": "build",
        "history.version": "model version",
        "model": "Model version {version}, published on {date} (UTC).",
        "chart.x": "size (elements, each step is a size that was measured)",
        "chart.y": "times as fast as plain JavaScript",
        "chart.one": "plain JavaScript = 1×",
        "chart.point": "{place}, {size}: {build}, {speed} ({low} to {high}), {source}",
        "chart.legend": "Lines are engines. Bars are 95% intervals. A filled circle is lab data, a square comes from reports, an empty circle is a prediction.",
        "source.lab": "lab data",
        "source.prediction": "prediction",
        "source.reports": "{count} reports",
        "source.title": "Where the figures come from",
        "source.text": "Lab data were measured by the maintainers on their own machines. Reports come from visitors who agreed to telemetry, each with noise added in the browser; a figure needs at least {least} of them. A prediction is what the model expects where nothing was measured. Intervals are 95%.",
        "data.title": "The data, every day",
        "data.lead": "What everyone's reports say together, as one file a day. Sums of at least {least} reports only: nothing in it is about one person.",
        "data.licence": "The files are free of rights (CC0 1.0): use them for anything, no permission needed.",
        "data.files": "Files",
        "data.day": "day (UTC)",
        "data.signature": "signature",
        "data.fields": "Fields",
        "data.field": "field",
        "data.meaning": "meaning",
        "data.what": "What is in it, and what is not",
        "data.private": "Each report is one speedup with noise added in the browser. The server adds reports up by function, size class, kind of data, implementation and kind of browser, systems and numbers of cores taken together. A row appears once {least} reports stand behind it; smaller rows are added up over all versions of their engine, and left out if they are too small even then.",
        "data.settled": "A row stays as it was until {least} more reports came. So nobody can subtract one day from the next and see a single report.",
        "data.stable": "A day's files are made once, at its first use or some minutes after the server noticed the day, and never change. Lab data and predictions are not in them.",
        "data.read": "To read and to check it",
        "changes.title": "Changes between versions of engines",
        "changes.lead": "What became more than 10% slower or faster from one version of an engine to the next, as speed over plain JavaScript in the same browsers.",
        "changes.table": "Sure changes",
        "changes.none": "No sure change has been seen so far.",
        "changes.engine": "engine",
        "changes.function": "function",
        "changes.build": "builds",
        "changes.change": "change",
        "changes.reports": "reports",
        "changes.since": "first sure",
        "changes.from": "{place} after {before}",
        "changes.every": "all functions",
        "changes.gone": "a function that is no longer offered",
        "changes.all": "all builds",
        "changes.with": "all builds with: {part}",
        "changes.slower": "slower:",
        "changes.faster": "faster:",
        "changes.between": "({low} to {high})",
        "changes.counts": "{after} of the newer version, {before} of the older one",
        "changes.version": "model version {version}",
        "changes.how": "When a change is listed",
        "changes.sure": "The same sizes, kinds of data and kinds of machine are compared in both versions. A change is listed when the estimate is more than 10% and it is 99% certain that there is one: the chance that two versions that are alike are ever said to differ, anywhere in the table, is at most 1%. That holds for all comparisons and all times together. The interval is the one that this takes, so it is wide. What follows from a listed change is not listed again. Figures stay as they were when the change was first sure.",
        "changes.power": "If JavaScript itself becomes faster or slower, all builds seem to change the other way. In simulation, a loss of 20% in all builds with SIMD is found within the first 2,000 reports of a version, and one in a single function once about 200 reports are about it.",
        "data.check": 'Each file has a signature by the keys of this server, which <a href="../keys.json">keys.json</a> names. Ed25519 over the <code>manifest</code> as JSON with sorted keys and no spaces; the manifest has the file\'s SHA-256.',
    },
    "ru": {
        "nav.functions": "Функции",
        "nav.data": "Данные",
        "nav.changes": "Изменения",
        "nav.privacy": "Приватность",
        "place.other": "Другие браузеры",
        "place.any": "любая версия",
        "place.plain": "без SIMD",
        "functions.title": "Какая сборка где быстрее",
        "functions.lead": "Функций: {count}, у каждой несколько сборок. Для каждого движка и размера здесь сказано, какую сборку выбирает Fleetune и во сколько раз она быстрее обычного JavaScript.",
        "functions.search": "Найти функцию по имени или задаче, например «хеш», «сортировка» или «размер»",
        "functions.find": "Найти",
        "functions.write": "Написать свою функцию",
        "functions.found": "«{query}»: функций {count} из {total}.",
        "functions.none": "Под «{query}» ничего не подходит. Вот все функции.",
        "functions.table": "Функции и их самые быстрые сборки",
        "functions.function": "функция",
        "functions.hint": "Выбор при среднем размере и его скорость в сравнении с обычным JavaScript.",
        "function.title": "{name}: самая быстрая сборка в каждом движке",
        "function.description": "{summary}. Самая быстрая сборка по движкам и размерам: {best}.",
        "function.data": "Данные: {pattern}",
        "function.chart": "Скорость выбранной сборки по размерам; данные: {pattern}",
        "function.table": "Выбранные сборки по движкам и размерам; данные: {pattern}",
        "function.engine": "движок",
        "function.size": "элементов: {count}",
        "function.few": "Об этой функции пока меньше {least} отчётов.",
        "function.thin": "Чисел из них здесь пока нет: на каждое нужно {least} отчётов об одном размере, виде данных, сборке и движке.",
        "function.reported": "Отчётов об этой функции не меньше {count}.",
        "function.own": "Эту функцию добавил владелец этого сервера.",
        "function.all": "Все функции",
        "proofs.title": "Что доказано о каждой сборке",
        "proofs.text": "«Совпадает» значит доказано: программа выполнила сборку рядом с обычной сборкой WebAssembly, с символами вместо чисел, при каждом n до названного.",
        "proofs.build": "сборка",
        "proofs.verdict": "вывод",
        "history.title": "Как менялся выбор",
        "history.text": "Данные: {pattern}; {size}. Строка появляется, когда опубликованная версия выбирает другую сборку, чем прежняя; число в ней — того дня.",
        "history.since": "с (UTC)",
        "history.engine": "движок",
        "history.build": "сборка",
        "history.version": "версия модели",
        "model": "Модель версии {version}, опубликована {date} (UTC).",
        "chart.x": "размер (элементы; каждый шаг — измеренный размер)",
        "chart.y": "во сколько раз быстрее обычного JavaScript",
        "chart.one": "обычный JavaScript = 1×",
        "chart.point": "{place}, {size}: {build}, {speed} (от {low} до {high}), {source}",
        "chart.legend": "Линии — движки, отрезки — интервалы 95 %. Закрашенный круг — лабораторные данные, квадрат — отчёты, пустой круг — прогноз.",
        "source.lab": "лабораторные данные",
        "source.prediction": "прогноз",
        "source.reports": "отчётов: {count}",
        "source.title": "Откуда эти числа",
        "source.text": "Лабораторные данные измерены авторами на их машинах. Отчёты приходят от посетителей, которые согласились на телеметрию, и каждый искажён шумом ещё в браузере; на одно число нужно не меньше {least} отчётов. Прогноз — то, чего модель ждёт там, где ничего не измерено. Интервалы 95 %.",
        "data.title": "Данные за каждый день",
        "data.lead": "Что говорят все отчёты вместе, по файлу в день. Только суммы не менее {least} отчётов: об отдельном человеке здесь ничего нет.",
        "data.licence": "Файлы свободны от прав (CC0 1.0): используйте их как угодно, разрешения не нужно.",
        "data.files": "Файлы",
        "data.day": "день (UTC)",
        "data.signature": "подпись",
        "data.fields": "Поля",
        "data.field": "поле",
        "data.meaning": "значение",
        "data.what": "Что в них есть и чего нет",
        "data.private": "Каждый отчёт — одно ускорение с шумом, добавленным в браузере. Сервер складывает отчёты по функции, классу размера, виду данных, сборке и виду браузера; системы и числа ядер взяты вместе. Строка появляется, когда за ней стоит {least} отчётов; меньшие складываются по всем версиям движка, а если и тогда их мало, пропускаются.",
        "data.settled": "Строка не меняется, пока не придёт ещё {least} отчётов. Поэтому, вычтя один день из другого, увидеть отдельный отчёт нельзя.",
        "data.stable": "Файлы дня делаются один раз, при первом обращении или через несколько минут после того, как сервер заметил новый день, и больше не меняются. Лабораторных данных и прогнозов в них нет.",
        "data.read": "Как прочесть и проверить",
        "changes.title": "Изменения между версиями движков",
        "changes.lead": "Что стало больше чем на 10 % медленнее или быстрее от одной версии движка к следующей: скорость относительно обычного JavaScript в тех же браузерах.",
        "changes.table": "Несомненные изменения",
        "changes.none": "Несомненных изменений пока не было.",
        "changes.engine": "движок",
        "changes.function": "функция",
        "changes.build": "сборки",
        "changes.change": "изменение",
        "changes.reports": "отчёты",
        "changes.since": "впервые несомненно",
        "changes.from": "{place} после {before}",
        "changes.every": "все функции",
        "changes.gone": "функция, которой больше нет",
        "changes.all": "все сборки",
        "changes.with": "все сборки, где есть: {part}",
        "changes.slower": "медленнее:",
        "changes.faster": "быстрее:",
        "changes.between": "(от {low} до {high})",
        "changes.counts": "{after} о новой версии, {before} о прежней",
        "changes.version": "модель версии {version}",
        "changes.how": "Когда изменение попадает сюда",
        "changes.sure": "Сравниваются одинаковые размеры, виды данных и виды машин в обеих версиях. Изменение попадает сюда, если по оценке оно больше 10 % и если оно на 99 % несомненно: шанс, что о двух одинаковых версиях когда-нибудь хоть где-то в таблице будет сказано, что они различаются, не больше 1 %. Это верно для всех сравнений и всех моментов вместе. Интервал именно таков, поэтому он широк. Что следует из уже названного изменения, отдельно не называется. Числа остаются такими, какими были, когда изменение впервые стало несомненным.",
        "changes.power": "Если сам JavaScript становится быстрее или медленнее, кажется, что все сборки меняются в обратную сторону. В моделировании потеря 20 % во всех сборках с SIMD находится в первых 2 000 отчётов о версии, а в одной функции — когда о ней пришло около 200 отчётов.",
        "data.check": 'У каждого файла есть подпись ключами этого сервера, их называет <a href="../keys.json">keys.json</a>. Ed25519 над <code>manifest</code>, записанным как JSON с упорядоченными ключами без пробелов; в нём SHA-256 файла.',
    },
}


def say(language: str, key: str, **values: object) -> str:
    """The words for a key, numbers already written out."""
    return WORDS[language][key].format(**values)


def place_name(place: Place, language: str) -> str:
    """A kind of browser: "Firefox 153", "Chromium 156, without SIMD"."""
    name = BROWSERS.get(place.browser) or say(language, "place.other")
    name += f", {say(language, 'place.any')}" if place.version == ANY else f" {place.version}"
    return name if place.simd else f"{name}, {say(language, 'place.plain')}"


def times(value: float, language: str) -> str:
    """A speedup: 2.41×, 15.2×, 135×."""
    return factor(value, language) + "×"


def factor(value: float, language: str) -> str:
    """The same without the sign, for intervals."""
    text = f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
    return _local(text, language)


def percent(share: float, language: str) -> str:
    """A change with its sign: −18%, +7%."""
    text = f"{100 * share:+.0f}".replace("-", "\u2212")
    return text + ("\u00a0%" if language == "ru" else "%")


def count(value: int, language: str) -> str:
    """A whole number with its thousands apart."""
    return f"{value:,}".replace(",", "\u00a0" if language == "ru" else ",")


def date(seconds: float) -> str:
    """A day, UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def _local(text: str, language: str) -> str:
    return text.replace(".", ",") if language == "ru" else text
