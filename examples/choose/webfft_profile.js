/** What webfft itself would choose: one part for all sizes. tests/benchmarks/choose.py compares with it. */
import webfft from "webfft";

export function profile() {
  return new webfft(4096, "indutnyJavascript", false).profile(2, false).fastestSubLibrary;
}
