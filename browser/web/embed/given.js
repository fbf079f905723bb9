// @ts-check
/** What `choose` may be given. wrong.js says in words what is not so; it shares no code with this, for a file more would cost each visit more. */

/** @param {any} [value] */
export const isCount = (value = 0) => typeof value === "number" && value >= 0;
/** What an object has by itself would be taken for it. @param {any} value */
export const isName = (value) => typeof value === "string" && !(value in Object.prototype);
/** @param {string} type @param {...any} values */
export const are = (type, ...values) => values.every((one) => one === undefined || (typeof one === type && one !== null));
/** @param {any} value @param {(one: any) => boolean} fits */
export const isList = (value, fits) => Array.isArray(value) && value.length > 0 && Array.from(value).every(fits);
/** @param {any} one */
export const isImplementation = (one) =>
  typeof one === "function" ||
  (are("function", one?.load, one?.supported, one?.dispose) && one?.load && are("boolean", one.async) && are("string", one.version) && isCount(one.bytes));
