"""Plain words for what the catalogue names: functions, data, builds, and the tasks that people search for.

tests/test_function_pages.py holds them to the catalogue and to the words of the page (browser/web/shared/glossary.js).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fleetune.context import COPIED
from fleetune.manifest import Kernel

_Words = Mapping[str, Mapping[str, str]]
LANE_BITS = 128  # of a SIMD register
IDEA_OF_LANES = "vectorization"

# What kernels compute; the catalogue says it in English.
SUMMARIES: Mapping[str, str] = {
    "argmax": "Место первого наибольшего f32, NaN не считаются",
    "base64": "Кодирование Base64 с дополнением",
    "black_scholes": "Цены европейских колл-опционов (Блэк — Шоулз)",
    "conv3x3": "Корреляция изображения f32 с ядром 3×3, без краёв",
    "copy": "Копия байтов между непересекающимися буферами",
    "crc32": "CRC-32 (IEEE) байтов",
    "dot": "Сумма произведений двух векторов f32",
    "edit_distance": "Расстояние Левенштейна двух строк байтов",
    "fft": "Прямое комплексное БПФ на месте, f32, длина — степень двойки",
    "filter": "Значения выше порога, собранные в начале",
    "fnv1a64": "Хеш FNV-1a, 64 бита",
    "gather": "Выборка из таблицы: out[i] = table[index[i]]",
    "hamming": "Число битов, в которых различаются два массива слов",
    "histogram": "Сколько раз встречается каждое значение байта",
    "mandelbrot": "Число шагов до выхода из множества Мандельброта",
    "matmul": "Произведение двух квадратных матриц f32",
    "matvec": "Матрица на вектор, f32 по строкам",
    "memchr": "Место первого байта с данным значением или -1",
    "nbody": "Ускорения n тел от притяжения, все пары",
    "prefix_sum": "Суммы нарастающим итогом, i32 с переполнением",
    "rgb_to_grey": "Яркость пикселей RGBA",
    "saturating_add": "Сумма байтов, не больше 255",
    "saxpy": "out = a·x + y для векторов f32",
    "sieve": "Количество простых чисел до n",
    "sort": "Сортировка i32 по возрастанию на месте",
    "strided_sum": "Сумма f32 через равные промежутки",
    "transpose": "Транспонирование матрицы f32",
    "utf8_validate": "Правильный ли UTF-8 в байтах",
}

# Everyday words for what they are good for, by which they are found.
TASKS: _Words = {
    "argmax": {"en": "maximum, largest, greatest, best, peak, find", "ru": "максимум, наибольшее, поиск"},
    "base64": {"en": "encode, encoding, data url, attachment, text", "ru": "кодирование, вложение, текст"},
    "black_scholes": {"en": "option, finance, price, money", "ru": "опцион, финансы, цена"},
    "conv3x3": {
        "en": "image, picture, photo, resize, blur, sharpen, edge, filter, convolution",
        "ru": "изображение, картинка, фото, размытие, резкость, свёртка, размер",
    },
    "copy": {"en": "memcpy, memory, clone, bytes, duplicate", "ru": "копирование, память, байты"},
    "crc32": {
        "en": "checksum, hash, integrity, zip, png, error detection",
        "ru": "контрольная сумма, хеш, целостность",
    },
    "dot": {
        "en": "vector, similarity, embedding, machine learning, product",
        "ru": "вектор, сходство, машинное обучение",
    },
    "edit_distance": {
        "en": "spelling, typo, fuzzy search, diff, compare text, levenshtein",
        "ru": "опечатка, нечёткий поиск, сравнение текста",
    },
    "fft": {
        "en": "sound, audio, music, frequency, spectrum, signal, fourier",
        "ru": "звук, музыка, частота, спектр, сигнал, фурье",
    },
    "filter": {
        "en": "select, query, where, database, keep, table",
        "ru": "отбор, запрос, база данных, фильтр",
    },
    "fnv1a64": {"en": "hash, checksum, fingerprint, key, hash table", "ru": "хеш, контрольная сумма, ключ"},
    "gather": {
        "en": "lookup, table, index, palette, resize, sample",
        "ru": "таблица, поиск по номеру, палитра",
    },
    "hamming": {
        "en": "bits, similarity, compare, hash distance, popcount",
        "ru": "биты, сходство, сравнение",
    },
    "histogram": {
        "en": "count, statistics, image, levels, frequency",
        "ru": "подсчёт, статистика, изображение, частоты",
    },
    "mandelbrot": {"en": "fractal, picture, complex numbers", "ru": "фрактал, картинка"},
    "matmul": {
        "en": "matrix, neural network, machine learning, multiply, linear algebra",
        "ru": "матрица, нейросеть, машинное обучение, умножение",
    },
    "matvec": {
        "en": "matrix, vector, neural network, multiply, transform",
        "ru": "матрица, вектор, нейросеть, умножение",
    },
    "memchr": {"en": "search, find, text, byte, parse, split", "ru": "поиск, текст, байт, разбор"},
    "nbody": {
        "en": "physics, gravity, simulation, game, particles",
        "ru": "физика, гравитация, частицы, игра",
    },
    "prefix_sum": {
        "en": "running total, cumulative, scan, offsets",
        "ru": "нарастающий итог, накопленная сумма",
    },
    "rgb_to_grey": {
        "en": "image, picture, photo, gray, grayscale, black and white, colour, color",
        "ru": "изображение, картинка, фото, серый, чёрно-белый, цвет",
    },
    "saturating_add": {
        "en": "image, brightness, blend, lighten, mix, audio",
        "ru": "изображение, яркость, смешивание",
    },
    "saxpy": {"en": "vector, blend, scale, add, linear algebra, mix", "ru": "вектор, сложение, масштаб"},
    "sieve": {"en": "prime, primes, number theory, count", "ru": "простые числа"},
    "sort": {"en": "order, rank, sorting, arrange, database", "ru": "порядок, упорядочить, сортировка"},
    "strided_sum": {"en": "column, total, sum, table, average", "ru": "столбец, сумма, среднее"},
    "transpose": {
        "en": "matrix, rotate, swap rows and columns, image",
        "ru": "матрица, поворот, строки и столбцы",
    },
    "utf8_validate": {
        "en": "text, unicode, encoding, check, json, parse, valid",
        "ru": "текст, юникод, кодировка, проверка",
    },
}

PATTERNS: _Words = {
    "random": {"en": "random", "ru": "случайные"},
    "rising": {"en": "rising", "ru": "возрастающие"},
    "similar": {"en": "two that are alike", "ru": "два похожих"},
    "hit1": {"en": "1% pass", "ru": "проходит 1 %"},
    "hit50": {"en": "half pass", "ru": "проходит половина"},
    "hit99": {"en": "99% pass", "ru": "проходит 99 %"},
    "smallTable": {"en": "small table", "ru": "маленькая таблица"},
    "largeTable": {"en": "large table", "ru": "большая таблица"},
    "constant": {"en": "all the same", "ru": "все одинаковые"},
    "interior": {"en": "inside the set", "ru": "внутри множества"},
    "boundary": {"en": "on the set's edge", "ru": "на границе множества"},
    "exterior": {"en": "outside the set", "ru": "вне множества"},
    "early": {"en": "found early", "ru": "находится рано"},
    "late": {"en": "found late", "ru": "находится поздно"},
    "sorted": {"en": "sorted already", "ru": "уже по порядку"},
    "fewUnique": {"en": "few values", "ru": "мало разных"},
    "stride3": {"en": "every 3rd", "ru": "каждое 3-е"},
    "stride16": {"en": "every 16th", "ru": "каждое 16-е"},
    "ascii": {"en": "ASCII", "ru": "ASCII"},
    "mixed": {"en": "mixed alphabets", "ru": "смесь алфавитов"},
    "cjk": {"en": "Chinese, Japanese, Korean", "ru": "китайский, японский, корейский"},
}

# The optimisations in the names of builds, and the two JavaScript ones; `vectorization` is said in lanes.
IDEAS: _Words = {
    "js": {"en": "plain JavaScript", "ru": "обычный JavaScript"},
    "js-tuned": {"en": "tuned JavaScript", "ru": "ускоренный JavaScript"},
    "scalar": {"en": "plain WebAssembly", "ru": "обычный WebAssembly"},
    "inlining": {"en": "inlined", "ru": "со встраиванием"},
    "loopUnrolling": {"en": "unrolled", "ru": "развёрнутый цикл"},
    "relaxedSimd": {"en": "relaxed SIMD", "ru": "relaxed SIMD"},
    "bulkMemory": {"en": "block copies", "ru": "блочное копирование"},
    "branchless": {"en": "no jumps", "ru": "без переходов"},
    "tiling": {"en": "in blocks", "ru": "блоками"},
    "lookupTable": {"en": "lookup table", "ru": "с таблицей"},
    "swar": {"en": "bytes packed in one number", "ru": "байты в одном числе"},
    "slicing4": {"en": "4 bytes a step", "ru": "по 4 байта за шаг"},
    "slicing8": {"en": "8 bytes a step", "ru": "по 8 байтов за шаг"},
    "loopInterchange": {"en": "loops swapped", "ru": "циклы переставлены"},
    "privateCounters": {"en": "several counters", "ru": "несколько счётчиков"},
    "interiorTest": {"en": "inside tested first", "ru": "сначала внутренние точки"},
    "symmetric": {"en": "each pair once", "ru": "каждая пара один раз"},
    "oddOnly": {"en": "odd numbers only", "ru": "только нечётные"},
    "segmented": {"en": "range by range", "ru": "по отрезкам"},
    "bitset": {"en": "one bit a number", "ru": "бит на число"},
    "pairTable": {"en": "two characters a step", "ru": "по два знака за шаг"},
    "hybrid": {"en": "short pieces another way", "ru": "короткие куски иначе"},
    "insertion": {"en": "insertion sort", "ru": "вставками"},
    "radix": {"en": "radix sort", "ru": "поразрядная сортировка"},
    "wideDigits": {"en": "11-bit digits", "ru": "по 11 битов"},
    "radix4": {"en": "four branches a step", "ru": "четыре ветви за шаг"},
    "swizzle": {"en": "table in registers", "ru": "таблица в регистрах"},
    "popcount": {"en": "bit-count instruction", "ru": "команда счёта битов"},
    "shiftAdd": {"en": "shifts and sums", "ru": "сдвиги и сложения"},
    "splitMultiply": {"en": "split product", "ru": "произведение по частям"},
    "banded": {"en": "near the diagonal", "ru": "у диагонали"},
    "bitParallel": {"en": "bit-parallel", "ru": "побитно-параллельно"},
    "trimming": {"en": "equal ends cut off", "ru": "без равных концов"},
}

_LANES: Mapping[str, Mapping[int, str]] = {
    "en": {2: "2 lanes", 4: "4 lanes", 8: "8 lanes", 16: "16 lanes"},
    "ru": {2: "2 дорожки", 4: "4 дорожки", 8: "8 дорожек", 16: "16 дорожек"},
}
_COPIED: _Words = {
    "moved": {"en": "copied in and out on each call", "ru": "копируются при каждом вызове"},
    "resident": {"en": "kept in WebAssembly memory", "ru": "лежат в памяти WebAssembly"},
}


def summary(kernel: Kernel, language: str) -> str:
    """What a function computes; an own kernel's summary is in its developer's language."""
    translated = SUMMARIES.get(kernel.name) if language == "ru" else None
    return translated or kernel.summary or kernel.name


def build(kernel: Kernel, candidate: str, language: str) -> str:
    """An implementation in plain words, such as "4 lanes, unrolled"; a developer's own names stay as they are."""
    lanes = LANE_BITS // int(kernel.dtype[1:])
    parts = sorted(candidate.split("+"), key=lambda part: part != IDEA_OF_LANES)
    said = (_LANES[language][lanes] if part == IDEA_OF_LANES else _idea(part, language) for part in parts)
    return ", ".join(said)


def _idea(part: str, language: str) -> str:
    words = IDEAS.get(part)
    return words[language] if words else part


def optimisation(part: str, language: str) -> str:
    """One optimisation, whatever the function: its number of lanes depends on that."""
    return "SIMD" if part == IDEA_OF_LANES else _idea(part, language)


def pattern(name: str, language: str) -> str:
    """A kind of data, and whether each call copies it: "random, kept in WebAssembly memory"."""
    base = name.removesuffix(COPIED)
    words = PATTERNS.get(base, {}).get(language, base)
    return f"{words}, {_COPIED['moved' if name.endswith(COPIED) else 'resident'][language]}"


def findable(kernel: Kernel) -> Iterator[str]:
    """All that a function may be searched by, in every language."""
    yield kernel.name
    yield kernel.name.replace("_", " ")
    yield kernel.family
    yield kernel.summary
    yield SUMMARIES.get(kernel.name, "")
    for words in TASKS.get(kernel.name, {}).values():
        yield from words.split(", ")
