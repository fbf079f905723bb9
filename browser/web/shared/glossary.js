// @ts-check
/** What the catalogue's names mean, in every language (tests/test_words.py); the catalogue has the English for kernels. */
import { element } from "./dom.js";
import { language } from "./i18n.js";

/** @type {Record<string, Record<string, string>>} the optimisations in variants' names, and the two JavaScript baselines */
const IDEAS = {
  js: { en: "the plain JavaScript that everything is compared with", ru: "обычный JavaScript, с которым всё сравнивается" },
  "js-tuned": { en: "JavaScript tuned for speed", ru: "JavaScript, написанный ради скорости" },
  scalar: { en: "WebAssembly compiled without any of these ideas", ru: "WebAssembly без всех этих приёмов" },
  inlining: { en: "small functions are put where they are called", ru: "маленькие функции вставлены туда, где вызываются" },
  loopUnrolling: { en: "several steps of a loop are written out one after another", ru: "несколько шагов цикла выписаны подряд" },
  vectorization: { en: "SIMD: one instruction for several numbers", ru: "SIMD: одна команда сразу для нескольких чисел" },
  relaxedSimd: { en: "newer SIMD whose last digits may differ between machines", ru: "новые команды SIMD, последние цифры которых могут зависеть от машины" },
  bulkMemory: { en: "one instruction copies or fills a whole block", ru: "одна команда копирует или заполняет целый блок" },
  branchless: { en: "arithmetic instead of jumps", ru: "арифметика вместо переходов" },
  tiling: { en: "work in blocks that stay in the cache", ru: "работа блоками, которые помещаются в кэш" },
  lookupTable: { en: "results are looked up in a table made beforehand", ru: "результаты берутся из готовой таблицы" },
  swar: { en: "several bytes at once in one ordinary number", ru: "несколько байтов сразу в одном обычном числе" },
  slicing4: { en: "four bytes a step, one table for each", ru: "по четыре байта за шаг, своя таблица для каждого" },
  slicing8: { en: "eight bytes a step, one table for each", ru: "по восемь байтов за шаг, своя таблица для каждого" },
  loopInterchange: { en: "loops nested the other way round", ru: "циклы вложены в другом порядке" },
  privateCounters: { en: "several sets of counters, summed at the end", ru: "несколько наборов счётчиков, в конце они складываются" },
  interiorTest: { en: "points that certainly stay inside are recognised first", ru: "сначала узнаются точки, которые точно внутри" },
  symmetric: { en: "each pair is computed once, for both", ru: "каждая пара считается один раз за обоих" },
  oddOnly: { en: "even numbers are left out", ru: "чётные числа пропускаются" },
  segmented: { en: "range by range, each within the cache", ru: "по отрезкам, каждый помещается в кэш" },
  bitset: { en: "one bit for each number", ru: "один бит на каждое число" },
  pairTable: { en: "a table for two characters at once", ru: "таблица сразу для двух знаков" },
  hybrid: { en: "a different method for short pieces", ru: "для коротких кусков другой способ" },
  insertion: { en: "insertion sort", ru: "сортировка вставками" },
  radix: { en: "radix sort, by 8 bits", ru: "поразрядная сортировка, по 8 битов" },
  wideDigits: { en: "radix sort by 11 bits", ru: "поразрядная сортировка по 11 битов" },
  radix4: { en: "four branches a step instead of two", ru: "четыре ветви за шаг вместо двух" },
  swizzle: { en: "the table is kept in SIMD registers", ru: "таблица лежит в регистрах SIMD" },
  popcount: { en: "the instruction that counts bits", ru: "команда, считающая биты" },
  shiftAdd: { en: "shifts and sums instead of a product", ru: "сдвиги и сложения вместо умножения" },
  splitMultiply: { en: "a 64-bit product from shorter ones", ru: "64-битное произведение из более коротких" },
  banded: { en: "only near the diagonal of the table, wider where needed", ru: "только у диагонали таблицы, при нужде шире" },
  bitParallel: { en: "a column of the table as the bits of one number", ru: "столбец таблицы как биты одного числа" },
  trimming: { en: "equal beginnings and ends are cut off first", ru: "одинаковые начало и конец сначала отрезаются" },
};

/** @type {Record<string, Record<string, string>>} kinds of data */
const PATTERNS = {
  random: { en: "random", ru: "случайные" },
  rising: { en: "rising", ru: "возрастающие" },
  similar: { en: "two that are alike", ru: "два похожих" },
  hit1: { en: "1% pass", ru: "проходит 1 %" },
  hit50: { en: "half pass", ru: "проходит половина" },
  hit99: { en: "99% pass", ru: "проходит 99 %" },
  smallTable: { en: "small table", ru: "маленькая таблица" },
  largeTable: { en: "large table", ru: "большая таблица" },
  constant: { en: "all the same", ru: "все одинаковые" },
  interior: { en: "inside the set", ru: "внутри множества" },
  boundary: { en: "on the set's edge", ru: "на границе множества" },
  exterior: { en: "outside the set", ru: "вне множества" },
  early: { en: "found early", ru: "находится рано" },
  late: { en: "found late", ru: "находится поздно" },
  sorted: { en: "sorted already", ru: "уже по порядку" },
  fewUnique: { en: "few values", ru: "мало разных" },
  stride3: { en: "every 3rd", ru: "каждое 3-е" },
  stride16: { en: "every 16th", ru: "каждое 16-е" },
  ascii: { en: "ASCII", ru: "ASCII" },
  mixed: { en: "mixed alphabets", ru: "смесь алфавитов" },
  cjk: { en: "Chinese, Japanese, Korean", ru: "китайский, японский, корейский" },
};

/** @type {Record<string, Record<string, string>>} what kernels compute */
const KERNELS = {
  argmax: { ru: "Место первого наибольшего f32, NaN не считаются" },
  base64: { ru: "Кодирование Base64 с дополнением" },
  black_scholes: { ru: "Цены европейских колл-опционов (Блэк — Шоулз)" },
  conv3x3: { ru: "Корреляция изображения f32 с ядром 3×3, без краёв" },
  copy: { ru: "Копия байтов между непересекающимися буферами" },
  crc32: { ru: "CRC-32 (IEEE) байтов" },
  dot: { ru: "Сумма произведений двух векторов f32" },
  edit_distance: { ru: "Расстояние Левенштейна двух строк байтов" },
  fft: { ru: "Прямое комплексное БПФ на месте, f32, длина — степень двойки" },
  filter: { ru: "Значения выше порога, собранные в начале" },
  fnv1a64: { ru: "Хеш FNV-1a, 64 бита" },
  gather: { ru: "Выборка из таблицы: out[i] = table[index[i]]" },
  hamming: { ru: "Число битов, в которых различаются два массива слов" },
  histogram: { ru: "Сколько раз встречается каждое значение байта" },
  mandelbrot: { ru: "Число шагов до выхода из множества Мандельброта" },
  matmul: { ru: "Произведение двух квадратных матриц f32" },
  matvec: { ru: "Матрица на вектор, f32 по строкам" },
  memchr: { ru: "Место первого байта с данным значением или -1" },
  nbody: { ru: "Ускорения n тел от притяжения, все пары" },
  prefix_sum: { ru: "Суммы нарастающим итогом, i32 с переполнением" },
  rgb_to_grey: { ru: "Яркость пикселей RGBA" },
  saturating_add: { ru: "Сумма байтов, не больше 255" },
  saxpy: { ru: "out = a·x + y для векторов f32" },
  sieve: { ru: "Количество простых чисел до n" },
  sort: { ru: "Сортировка i32 по возрастанию на месте" },
  strided_sum: { ru: "Сумма f32 через равные промежутки" },
  transpose: { ru: "Транспонирование матрицы f32" },
  utf8_validate: { ru: "Правильный ли UTF-8 в байтах" },
};

export const TABLES = { IDEAS, PATTERNS, KERNELS };

/** What an optimisation in a variant's name means; undefined for a developer's own names. @param {string} idea @returns {string | undefined} */
export const ideaWords = (idea) => IDEAS[idea]?.[language];
/** @param {string} pattern */
export const patternWords = (pattern) => PATTERNS[pattern]?.[language] ?? pattern;
/** @param {string} kernel @param {string} summary the catalogue's */
export const kernelWords = (kernel, summary) => KERNELS[kernel]?.[language] ?? summary;

/** A candidate's name that may break after each plus sign. @param {string} name */
export function breakable(name) {
  return name.split(/(?<=\+)/).flatMap((part) => [part, element("wbr", {})]);
}
