"""Adapters in their hosts' words, with the hosts' own packages: Emscripten, wasm-bindgen and AssemblyScript in Node."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from tests import node, npm

WEB = npm.WEB / "embed"
MODULES = npm.TOOLS / "node_modules"
RUNTIME = Path(__file__).parent / "toolchains" / "assemblyscript.runtime.wasm"
SCRIPT = """
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
const [, web, modules, runtime] = process.argv;
const url = (path) => pathToFileURL(path).href;
const { choose } = await import(url(`${web}/choose.js`));
const { emscripten, wasmBindgen, assemblyScript, selectBundle, order, threads, kernel } = await import(url(`${web}/adapters.js`));
const found = {};
/** The result of the one given, once it is chosen over a slow reference that gives the same. */
async function chosen(name, reference, one, options) {
  const slow = (...args) => { const end = performance.now() + 3; while (performance.now() < end); return reference(...args); };
  const f = await choose(name, { slow, one }, { budgetMs: 1500, ...options });
  await f.ready;
  return [f.explain().implementation, f.explain().setAside];
}

{ // Emscripten's MODULARIZE: the transform of an impulse is 1 everywhere
  const { default: pffft } = await import(url(`${modules}/@echogarden/pffft-wasm/dist/simd/pffft.js`));
  const use = (own) => {
    const [at, work] = [0, 0].map(() => own._pffft_aligned_malloc(8 * 64));
    const plan = own._pffft_new_setup(64, 1);
    return (data) => {
      own.HEAPF32.set(data, at >> 2);
      own._pffft_transform_ordered(plan, at, at, work, 0);
      return own.HEAPF32.slice(at >> 2, (at >> 2) + 128);
    };
  };
  const wasmBinary = readFileSync(`${modules}/@echogarden/pffft-wasm/dist/simd/pffft.wasm`);
  const impulse = Float32Array.from({ length: 128 }, (_, i) => Number(i === 0));
  const ones = Float32Array.from({ length: 128 }, (_, i) => Number(i % 2 === 0));
  found.emscripten = await chosen("fft", () => ones, emscripten(pffft, use, { wasmBinary }), { sizes: [64], input: () => impulse });
}
{ // wasm-bindgen: half of a grey picture is grey
  const folder = `${modules}/@jsquash/resize/lib/resize/pkg/squoosh_resize`;
  const use = ({ resize }) => (data) => resize(data, 8, 8, 4, 4, 3, false, false);
  const grey = (n) => new Uint8Array(n).fill(128);
  const one = wasmBindgen(() => import(url(`${folder}.js`)), use, readFileSync(`${folder}_bg.wasm`));
  const same = (a, b) => a.length === b.length && b.every((value) => Math.abs(value - 128) < 2);
  found.wasmBindgen = await chosen("resize", () => grey(64), one, { sizes: [64], input: () => grey(256), same });
}
{
  const loader = await import(url(`${modules}/@assemblyscript/loader/index.js`));
  const use = ({ run, Float32Array_ID, __newArray, __getFloat32Array }) => (data) => __getFloat32Array(run(__newArray(Float32Array_ID, data)));
  const one = assemblyScript(loader.instantiate, readFileSync(runtime), use);
  const input = (n, random) => Float32Array.from({ length: n }, random);
  found.assemblyScript = await chosen("double", (data) => data.map((value) => 2 * value), one, { sizes: [64], input });
}
const shown = (all) => Object.entries(all).map(([name, { params }]) => [name, params]);
const usable = async (all) => {
  const f = await choose("any", all, { measure: "never" });
  return [await f(), f.explain().implementation];
};
{
  const bundles = { mvp: { mainModule: "mvp.wasm" }, eh: { mainModule: "eh.wasm" }, coi: { mainModule: "coi.wasm", pthreadWorker: "w.js" } };
  const all = selectBundle(bundles, ({ mainModule }) => () => mainModule);
  found.bundles = [shown(all).map(([name]) => name), Object.values(all).map(({ supported }) => supported()), await usable(all)];
  found.order = [shown(order(["webgpu", "webnn", "wasm"], String)), await usable(order(["webgpu", "wasm"], (name) => () => name))];
  const on = (cores, alone, max) => {
    Object.defineProperty(globalThis, "navigator", { value: { hardwareConcurrency: cores }, configurable: true });
    globalThis.crossOriginIsolated = alone;
    return shown(threads({ max }, String)).map(([, count]) => count);
  };
  found.threads = [on(8, false), on(8, true), on(8, true, 4), on(6, true), on(2, true), on(1, true), on(undefined, true)];
  const refused = (make) => { try { return Object.keys(make()); } catch (error) { return `${error.name}: ${error.message}`; } };
  found.odd = [
    refused(() => threads(undefined, String)), refused(() => threads({ max: 2.5 }, String)),
    ...[0, NaN, "2", 10n, null, Symbol("x")].map((max) => refused(() => threads({ max }, String))),
    refused(() => order("webgpu", String)), refused(() => order(null, String)), refused(() => order([{ name: "webgpu", preferredLayout: "NHWC" }, "wasm"], String)),
    refused(() => selectBundle({ mvp: {}, eh: undefined, coi: null }, String)),
  ];
  found.coi = selectBundle(bundles, String).coi.supported();
  found.kernel = await usable({ dot: kernel({ kernel: async (name, options) => () => [name, options] }, "dot", { pattern: "sorted" }) });
}
process.stdout.write(JSON.stringify(found));
"""  # noqa: E501


@cache
def found() -> dict[str, Any]:
    answer: dict[str, Any] = node.evaluate(SCRIPT, str(WEB), str(MODULES), str(RUNTIME))
    return answer


def test_packages_of_three_toolchains_are_chosen_by_their_own_loaders() -> None:
    for toolchain in ("emscripten", "wasmBindgen", "assemblyScript"):
        assert found()[toolchain] == ["one", {}], toolchain


def test_bundles_run_where_the_browser_has_what_they_need() -> None:
    names, supported, used = found()["bundles"]
    assert (names, supported) == (["mvp", "eh", "coi"], [True, True, False])
    assert used == ["mvp.wasm", "mvp"]
    assert found()["coi"], "an isolated page"


def test_the_last_of_ordered_providers_is_the_reference() -> None:
    given, used = found()["order"]
    assert given == [["wasm", "wasm"], ["webnn", "webnn"], ["webgpu", "webgpu"]]
    assert used == ["wasm", "wasm"]


def test_threads_are_1_2_half_and_all_on_an_isolated_page() -> None:
    assert found()["threads"] == [[1], [1, 2, 4, 8], [1, 2, 4], [1, 2, 3, 6], [1, 2], [1], [1]]


def test_adapters_take_their_hosts_objects_and_refuse_what_would_be_misread() -> None:
    refused = [
        f"RangeError: Fleetune: max of threads must be a number from 1 on, not {one}"
        for one in ("0", "NaN", "2", "10", "null", "Symbol(x)")
    ]
    orders = [
        f"TypeError: Fleetune: order takes a list of providers, not {one}" for one in ("webgpu", "null")
    ]
    assert found()["odd"] == [["1 thread"], ["1 thread"], *refused, *orders, ["wasm", "webgpu"], ["mvp"]]


def test_a_kernel_of_a_server_is_one_implementation_among_others() -> None:
    assert found()["kernel"] == [["dot", {"pattern": "sorted"}], "dot"]


def test_each_adapter_is_short() -> None:
    parts = (WEB / "adapters.js").read_text().split("\nexport ")
    assert max(len(part.splitlines()) for part in parts) <= 40
    assert len(parts) == 8
    assert json.loads((npm.WEB / "package.json").read_text())["exports"]["./adapters"]
