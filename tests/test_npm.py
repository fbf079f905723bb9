"""The npm package: its types, where it imports, and that each bundler builds it. What it holds: test_embed.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import node, npm

TSC = npm.ROOT / "browser" / "node_modules" / "typescript" / "bin" / "tsc"
TYPED = """
import { choose, connect } from "fleetune";
import { sharedTuner } from "fleetune/widget";

const tuner = await connect({ server: "https://tuner.example/" });
tuner.addEventListener("model", ({ detail }) => { const step: number = detail.to - detail.from; return step; });
tuner.addEventListener("setaside", ({ detail }) => detail.reason.length);
tuner.addEventListener("progress", ({ detail }) => detail.done / detail.total);
// @ts-expect-error versions are numbers
tuner.addEventListener("model", ({ detail }) => detail.to.length);
const same: typeof tuner = await sharedTuner(null, false);
const card: HTMLElement = document.createElement("fleetune-widget");
const sum = await choose("sum", { plain: (data: Float64Array) => data.length });
sum.addEventListener("decided", ({ detail }) => detail.contexts[0].choice);
export const all = [same, card, sum(Float64Array.of(1)).toFixed()];
"""


@pytest.mark.parametrize(
    ("module", "resolution"), [("esnext", "bundler"), ("nodenext", "nodenext")], ids=["bundler", "node"]
)
def test_its_types_are_right_for_typescript_apps(module: str, resolution: str, tmp_path: Path) -> None:
    npm.install(tmp_path)
    (tmp_path / "app.ts").write_text(TYPED)
    options = ["--strict", "--noEmit", "--target", "es2022", "--lib", "es2023,dom,dom.iterable"]
    node.run(TSC, *options, "--module", module, "--moduleResolution", resolution, "app.ts", cwd=tmp_path)


def test_it_imports_where_there_is_no_page(tmp_path: Path) -> None:
    """As when pages are rendered on a server; Node 20 has no `navigator`."""
    npm.install(tmp_path)
    script = """
    delete globalThis.navigator;
    const { choose, connect } = await import("fleetune");
    await import("fleetune/widget");
    const sum = await choose("sum", { plain: (data) => data.reduce((a, b) => a + b, 0) });
    const refused = await connect().catch(({ message }) => message);
    console.log(JSON.stringify([sum([1, 2, 3]), refused]));
    """
    assert node.evaluate(script, cwd=tmp_path) == [
        6,
        "Fleetune: connect({ server }) must name the server: this file came from elsewhere",
    ]


@pytest.mark.parametrize("bundler", npm.BUNDLERS)
def test_a_bundler_builds_an_app_with_it_without_a_warning(bundler: str, tmp_path: Path) -> None:
    npm.bundle(tmp_path, [bundler])
    assert (tmp_path / bundler / "index.js").stat().st_size > 1000
