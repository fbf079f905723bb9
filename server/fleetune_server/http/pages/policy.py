"""The words of the privacy policy, in English and Russian; numbers come from the code and the settings."""

# ruff: noqa: E501 - sentences in two languages read better unbroken
from __future__ import annotations

from collections.abc import Mapping

REVISION = 4  # raise when what is sent, kept or promised changes: everyone is asked again

TITLE: Mapping[str, str] = {"en": "Privacy", "ru": "Приватность"}
BACK: Mapping[str, str] = {"en": "Back to Fleetune", "ru": "Назад к Fleetune"}
FIELDS_TITLE: Mapping[str, str] = {"en": "Everything a report contains", "ru": "Всё, что есть в отчёте"}
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "en": ("Field", "Example", "What it is", "Why it is sent", "Protection"),
    "ru": ("Поле", "Пример", "Что это", "Зачем отправляется", "Защита"),
}
NEVER_TITLE: Mapping[str, str] = {"en": "Never sent", "ru": "Никогда не отправляется"}
REVISION_TEXT: Mapping[str, str] = {
    "en": "Revision {revision}. When this policy changes, telemetry stops until you have agreed again.",
    "ru": "Редакция {revision}. Если политика изменится, телеметрия прекратится, пока вы не согласитесь снова.",
}

# (heading, paragraphs) before the field table
INTRODUCTION: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "en": (
        (
            "In short",
            (
                "Fleetune works without telemetry, and telemetry is off until you switch it on. No report exists before you choose, and what you measure stays in your browser.",
                "Before you choose, pages only fetch public files. What everyone's model would run here is one such file for each browser engine: your own kind of browser is looked up in it here, so the environment fields below are not sent. To hear of new models a page keeps a connection open, over which it tells the version it has and a number that is drawn afresh at every visit (it decides who tries a new model first). Nothing is stored in your browser until you choose or measure.",
                "If you agree, your browser may send at most {per_day} report a day from each site on which you agreed: how much faster one version of one public function was here, after random noise. You see the exact report before it is sent and every report ever sent afterwards.",
                "No account, no cookies, no advertising, no third parties, and no number that stands for you. The field browserFingerprint is a short form of the environment fields: it is the same in every browser of that kind, so it names a kind of browser, not yours. Of a rare kind there may be few browsers.",
            ),
        ),
    ),
    "ru": (
        (
            "Коротко",
            (
                "Fleetune работает без телеметрии, и она выключена, пока вы сами её не включите. До вашего выбора отчётов не существует, а замеры остаются в браузере.",
                "До вашего выбора страницы лишь загружают открытые файлы. Что выбрала бы здесь общая модель, записано в таком файле, одном на каждый движок: свой вид браузера страница находит в нём сама, поля environment ниже не отправляются. Чтобы узнавать о новых моделях, страница держит соединение и сообщает по нему версию своей модели и число, заново случайное при каждом посещении (от него зависит, кто пробует новую модель первым). Пока вы не сделали выбор или замер, в браузере ничего не сохраняется.",
                "Если вы согласны, браузер может отправлять не больше {per_day} отчёта в день с каждого сайта, на котором вы согласились: насколько быстрее здесь была одна версия одной открытой функции, после случайного шума. Вы видите точный отчёт до отправки и все отправленные отчёты после неё.",
                "Без учётной записи, cookie, рекламы и третьих сторон; ни одно число не обозначает вас. Поле browserFingerprint — краткая запись полей environment: оно одинаково во всех браузерах этого вида, то есть называет вид браузера, а не ваш браузер. Браузеров редкого вида может быть немного.",
            ),
        ),
    ),
}

# (heading, paragraphs) after it
SECTIONS: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "en": (
        (
            "What the noise does, and what it does not",
            (
                "The speedup is randomised in your browser, before it leaves, under local differential privacy with ε = {epsilon:g} (ε = {strict:g} if you choose strict). Whatever was measured here, no answer is more than e^ε times as likely as it would be for any other measurement: {times:.1f} times at ε = {epsilon:g}, {strict_times:.1f} at ε = {strict:g}.",
                "{honesty}",
                "The budget: at most {per_day} report a day and ε = {cap:g} in any {window} days, added up. Browsers keep what sites store apart, so each site on which you agreed has a budget of its own. It is counted in this browser, shared by the site's tabs, paid before a report is sent, and not refilled by setting the clock back. Raising it asks you again. Clearing this site's data clears the count too: then it starts anew.",
            ),
        ),
        (
            "What stays in your browser",
            (
                "Your choice, the budget, the history of reports (the bytes of each and what became of it), your own measurements, and the public model. Clearing this site's data removes them all. Reports already sent can then no longer be withdrawn, because only your browser knows their random numbers.",
            ),
        ),
        (
            "What the server keeps",
            (
                "A report is kept as it is for {hold}, so that you can withdraw it. Then it is added to a sum for its group (how many, their sum and sum of squares) and deleted. Its random number is kept for {retention} days, only to refuse repeats.",
                "Groups of fewer than {group} reports are never published on their own. Network addresses, user agents and other headers are neither stored nor logged. Addresses are used in memory alone, to limit floods.",
            ),
        ),
        (
            "Changing your mind",
            (
                "Switch telemetry off at any time: sending stops within a second in all tabs. Withdraw also asks the server to delete every report of yours that has not been summed up yet, and tells you how many were deleted and how many could no longer be.",
                "If your browser sends the Global Privacy Control signal, telemetry stays off.",
            ),
        ),
        (
            "Was this choice good?",
            (
                "If telemetry is on you may answer this question with one tap, at most once a day and {feedback_cap} times in {window} days. Your browser sends your answer or its opposite by chance (randomised response, ε = {feedback_epsilon:g}, counted apart from the budget above), with the day and a random number, and nothing about what was measured. Answers are summed at once and cannot be withdrawn.",
            ),
        ),
    ),
    "ru": (
        (
            "Что делает шум и чего он не делает",
            (
                "Ускорение случайно искажается в вашем браузере до отправки по правилам локальной дифференциальной приватности с ε = {epsilon:g} (ε = {strict:g} в строгом режиме). Что бы ни было измерено, ни один ответ не вероятнее более чем в e^ε раз, чем при любом другом замере: в {times:.1f} раза при ε = {epsilon:g}, в {strict_times:.1f} при ε = {strict:g}.",
                "{honesty}",
                "Бюджет: не больше {per_day} отчёта в день и ε = {cap:g} за любые {window} дней в сумме. Браузеры разделяют хранилища сайтов, поэтому у каждого сайта, на котором вы согласились, свой бюджет. Он считается в этом браузере, общий для вкладок сайта, списывается до отправки и не восполняется переводом часов назад. Чтобы его повысить, вас спросят снова. Очистка данных сайта обнуляет и этот счёт.",
            ),
        ),
        (
            "Что остаётся в вашем браузере",
            (
                "Ваш выбор, бюджет, история отчётов (байты каждого и его судьба), ваши замеры и открытая модель. Очистка данных сайта удаляет всё это. Отправленные отчёты тогда уже нельзя отозвать: их случайные числа знает только ваш браузер.",
            ),
        ),
        (
            "Что хранит сервер",
            (
                "Отчёт хранится как есть {hold}, чтобы его можно было отозвать. Затем он прибавляется к сумме своей группы (число, сумма и сумма квадратов) и удаляется. Его случайное число хранится {retention} дн. только для защиты от повторов.",
                "Группы меньше {group} отчётов никогда не публикуются отдельно. Сетевые адреса, user agent и прочие заголовки не сохраняются и не пишутся в журнал. Адреса используются только в памяти против перегрузки.",
            ),
        ),
        (
            "Если вы передумали",
            (
                "Выключите телеметрию в любой момент: отправка прекратится за секунду во всех вкладках. Отзыв также просит сервер удалить все ваши отчёты, ещё не вошедшие в суммы, и сообщает, сколько удалено и сколько уже нельзя.",
                "Если браузер передаёт сигнал Global Privacy Control, телеметрия остаётся выключенной.",
            ),
        ),
        (
            "Удачен ли был выбор?",
            (
                "При включённой телеметрии можно одним касанием ответить на этот вопрос, не чаще раза в день и {feedback_cap} раз за {window} дней. Браузер случайным образом отправляет ваш ответ или противоположный (рандомизированный ответ, ε = {feedback_epsilon:g}, считается отдельно от бюджета выше), день и случайное число, и ничего о замерах. Ответы сразу суммируются, отозвать их нельзя.",
            ),
        ),
    ),
}

HOURS: Mapping[str, str] = {"en": "about {hours:g} hours", "ru": "около {hours:g} ч"}
