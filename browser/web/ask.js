// @ts-check
/** What the page asks of the server before anything is pressed: asked while its other files are still on their way. */
import { detectEnvironment } from "./environment.js";
import { crowdPath, getJson } from "./get_json.js";

export const environment = detectEnvironment();
export const QUESTIONS = ["api/boot.json", "api/model/latest", "api/kernels", crowdPath(environment)];
export const answers = Promise.all(QUESTIONS.map(getJson));
answers.catch(() => {}); // the page says it (page.js)
