"""The field table: every field of a packet, what it is, why it is sent, and whether noise covers it.

The page's preview, /privacy and `fleetune privacy explain` show this table; a test holds it to `packet.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Cover = Literal["noised", "clear", "random"]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the packet; texts by language (`en`, `ru`)."""

    name: str  # dotted name on the wire
    example: str
    cover: Cover  # noised: the mechanism covers it; clear: sent as it is; random: drawn afresh, says nothing
    what: Mapping[str, str]
    why: Mapping[str, str]

    def to_wire(self) -> dict[str, Any]:
        """The field as JSON-able values for the page."""
        return asdict(self)


COVERS: Mapping[Cover, Mapping[str, str]] = {
    "noised": {"en": "random noise covers it (ε)", "ru": "закрыто случайным шумом (ε)"},
    "clear": {"en": "sent as it is", "ru": "отправляется как есть"},
    "random": {"en": "random, says nothing about you", "ru": "случайно, ничего о вас не говорит"},
}


def _field(name: str, example: str, cover: Cover, en: tuple[str, str], ru: tuple[str, str]) -> Field:
    return Field(name, example, cover, {"en": en[0], "ru": ru[0]}, {"en": en[1], "ru": ru[1]})


FIELDS: tuple[Field, ...] = (
    _field(
        "v",
        "2",
        "clear",
        ("The version of this packet format.", "So that a server refuses what it would misread."),
        ("Версия формата пакета.", "Чтобы сервер отверг то, что прочёл бы неверно."),
    ),
    _field(
        "profileSignature",
        "9f2c…(32 hex digits)",
        "clear",
        (
            "The hash of a function's entry in the public catalogue. Anyone can look up which function it is.",
            "To say which function was measured. No source code and no name is sent.",
        ),
        (
            "Хеш записи функции в открытом каталоге. Какая это функция, может узнать любой.",
            "Чтобы указать измеренную функцию. Исходный код и имя не отправляются.",
        ),
    ),
    _field(
        "contextHash",
        "51ab…(16 hex digits)",
        "clear",
        (
            "The hash of exactly the three `context` fields beside it; it adds nothing to them.",
            "A short key for grouping reports.",
        ),
        (
            "Хеш ровно трёх полей `context` рядом; к ним он ничего не добавляет.",
            "Короткий ключ для группировки отчётов.",
        ),
    ),
    _field(
        "context.log2Size",
        "12",
        "clear",
        (
            "The problem size as a power of two: 12 means about 4,096 elements.",
            "The fastest variant depends on it.",
        ),
        (
            "Размер задачи как степень двойки: 12 — около 4096 элементов.",
            "От него зависит самый быстрый вариант.",
        ),
    ),
    _field(
        "context.dtype",
        "f32",
        "clear",
        ("The type of the numbers.", "The fastest variant depends on it."),
        ("Тип чисел.", "От него зависит самый быстрый вариант."),
    ),
    _field(
        "context.pattern",
        "random",
        "clear",
        (
            "The kind of test data from a fixed list, and whether arrays were copied. Never your data.",
            "The fastest variant depends on it.",
        ),
        (
            "Вид тестовых данных из готового списка и копировались ли массивы. Никогда не ваши данные.",
            "От него зависит самый быстрый вариант.",
        ),
    ),
    _field(
        "environment.browser",
        "firefox",
        "clear",
        ("The browser family, one of four words.", "Engines compile WebAssembly differently."),
        ("Семейство браузера, одно из четырёх слов.", "Движки компилируют WebAssembly по-разному."),
    ),
    _field(
        "environment.version",
        "153",
        "clear",
        (
            "The browser's major version. Never the full user agent.",
            "A new engine version changes what is fast.",
        ),
        (
            "Основная версия браузера. Строка user agent не отправляется.",
            "Новая версия меняет то, что быстро.",
        ),
    ),
    _field(
        "environment.os",
        "linux",
        "clear",
        (
            "The family of the operating system, one of six words.",
            "It changes how browsers compile and schedule.",
        ),
        ("Семейство операционной системы, одно из шести слов.", "Оно влияет на компиляцию и планирование."),
    ),
    _field(
        "environment.simd",
        "true",
        "clear",
        ("Whether vector instructions work.", "It decides which variants can run."),
        ("Работают ли векторные инструкции.", "От этого зависит, какие варианты возможны."),
    ),
    _field(
        "environment.relaxedSimd",
        "true",
        "clear",
        ("Whether relaxed vector instructions work.", "It decides which variants can run."),
        ("Работают ли нестрогие векторные инструкции.", "От этого зависит, какие варианты возможны."),
    ),
    _field(
        "environment.threads",
        "false",
        "clear",
        ("Whether shared memory works on this page.", "It decides which variants can run."),
        ("Работает ли общая память на этой странице.", "От этого зависит, какие варианты возможны."),
    ),
    _field(
        "environment.cores",
        "2-3",
        "clear",
        ("A coarse range of processor cores, one of five.", "A rough class of machine."),
        ("Грубый диапазон числа ядер, один из пяти.", "Примерный класс машины."),
    ),
    _field(
        "environment.arch",
        "x86",
        "clear",
        (
            "The processor's family: x86 or arm. Left out if you choose strict or the browser does not show it.",
            "The two run the same vector instructions at different speeds.",
        ),
        (
            "Семейство процессора: x86 или arm. Не отправляется в строгом режиме или если браузер его не показывает.",
            "Одни и те же векторные инструкции они выполняют с разной скоростью.",
        ),
    ),
    _field(
        "browserFingerprint",
        "c0de…(16 hex digits)",
        "clear",
        (
            "The hash of exactly the `environment` fields beside it: it names a kind of browser, shared by everyone "
            "with the same coarse fields, not a person.",
            "A short key for grouping reports.",
        ),
        (
            "Хеш ровно полей `environment` рядом: называет вид браузера, общий для всех с теми же полями, "
            "а не человека.",
            "Короткий ключ для группировки отчётов.",
        ),
    ),
    _field(
        "actualSpeedups",
        '{"inlining+vectorization": 5.12}',
        "noised",
        (
            "One variant, chosen at random, and its speedup over JavaScript after random noise: one of 64 values "
            "fixed in advance. Raw timings never leave the device. The variant's name is sent as it is.",
            "Averaged over many browsers the noise cancels and the true speedup remains.",
        ),
        (
            "Один случайно выбранный вариант и его ускорение относительно JavaScript после случайного шума: одно из "
            "64 заранее заданных значений. Сами замеры устройство не покидают. Имя варианта отправляется как есть.",
            "В среднем по многим браузерам шум исчезает и остаётся истинное ускорение.",
        ),
    ),
    _field(
        "privacy.mechanism",
        "piecewise",
        "clear",
        ("The method of adding noise.", "So that the server reads the value correctly."),
        ("Способ добавления шума.", "Чтобы сервер правильно прочёл значение."),
    ),
    _field(
        "privacy.epsilon",
        "2.0",
        "clear",
        (
            "ε, the strength of the noise: no value of the measurement makes any answer more than e^ε times as likely "
            "as another would make it. Smaller is more private.",
            "So that the server weighs the report correctly.",
        ),
        (
            "ε, сила шума: никакое значение замера не делает ни один ответ вероятнее более чем в e^ε раз. "
            "Чем меньше, тем больше приватности.",
            "Чтобы сервер правильно взвесил отчёт.",
        ),
    ),
    _field(
        "privacy.clip",
        "0.35",
        "clear",
        (
            "How far a report may differ from the public prediction before noise; published with the model.",
            "So that one report can move the average only so far.",
        ),
        (
            "Насколько отчёт может отличаться от открытого предсказания до шума; публикуется с моделью.",
            "Чтобы один отчёт мог сдвинуть среднее лишь немного.",
        ),
    ),
    _field(
        "modelVersion",
        "7",
        "clear",
        ("The public model that this page used.", "The noise is centred on that model's prediction."),
        ("Открытая модель, которой пользовалась страница.", "Шум отсчитывается от её предсказания."),
    ),
    _field(
        "timestamp",
        "1795392000",
        "clear",
        ("The day in UTC, as the second it began. Never the time of day.", "To forget old reports."),
        (
            "День по UTC в виде секунды его начала. Время суток не отправляется.",
            "Чтобы забывать старые отчёты.",
        ),
    ),
    _field(
        "nonce",
        "7b1e…(32 hex digits)",
        "random",
        (
            "A random number made for this packet alone and kept on this device.",
            "So that a repeat is not counted twice, and so that you can withdraw the report.",
        ),
        (
            "Случайное число только для этого пакета; хранится на этом устройстве.",
            "Чтобы повтор не считался дважды и чтобы отчёт можно было отозвать.",
        ),
    ),
)

# What the noise does not cover, in plain words; shown under the table everywhere.
HONESTY: Mapping[str, str] = {
    "en": (
        "ε covers the speedup value only. The signature, the context, the variant's name and the coarse environment "
        "travel in clear; hashes of public catalogue entries are not secrets. Like every web request, a report shows "
        "your network address to the server while it arrives; it is neither stored nor logged."
    ),
    "ru": (
        "ε защищает только значение ускорения. Подпись, контекст, имя варианта и грубые сведения о среде идут "
        "открыто; хеши записей открытого каталога — не секрет. Как при любом запросе, сервер видит ваш сетевой адрес, "
        "пока принимает отчёт; он не сохраняется и не пишется в журнал."
    ),
}
NEVER_SENT: Mapping[str, tuple[str, ...]] = {
    "en": (
        "source code",
        "names",
        "raw timings",
        "your data",
        "the user agent",
        "cookies or any stable identifier",
    ),
    "ru": (
        "исходный код",
        "имена",
        "сами замеры",
        "ваши данные",
        "user agent",
        "cookie и любые идентификаторы",
    ),
}
