"""Journey: update. A tab killed in the middle of one, a server restarted under an open page, and lies about
models: the page always has the old model or the new one, whole.

`pytest e2e/test_update.py -k killed --times 25` kills 50 tabs.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from tests.alterations import ALTER, altered_field

from e2e.drivers.base import Browser, Page, text, wait_for, wait_text
from e2e.server import Server
from e2e.steps import BOOT_SECONDS, measure_a_little, open_home, republish
from e2e.tamper import Tamper
from e2e.wire import Wire
from fleetune_server.publish.keys import KeyRing

KILLS = 2
LIES = 24
LONGER = 3  # times a second update that a first one may take in a worker just started
WORKER = """
const at = (name) => new URL("static/" + name, location.href).href;
const { connectWorker } = await import(at("shared/rpc.js"));
const { ops } = await connectWorker(at("workers/python_worker.js"), { onEvent() {} });
window.ops = ops;
"""
UPDATE = "const begin = performance.now(); const outcome = await window.ops.update(); "
# What is kept, checked without Python: the version, and whether the artefact is the one that was signed.
KEPT = """
const { get } = await import(new URL("static/shared/storage.js", location.href).href);
const kept = await get("model");
if (!kept) return null;
const bytes = Uint8Array.from(atob(kept.artefact), (letter) => letter.charCodeAt(0));
const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
const hex = [...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const { version, sha256, size } = kept.manifest;
return { version, whole: hex === sha256 && bytes.length === size };
"""
REMEMBER = """
const storage = await import(new URL("static/shared/storage.js", location.href).href);
await storage.set("old", await storage.get("model"));
"""
RESET = """
const storage = await import(new URL("static/shared/storage.js", location.href).href);
await storage.set("model", await storage.get("old"));
"""


def offered(page: Page, version: int) -> None:
    """Wait until the server offers this version."""
    page.evaluate(
        """for (;;) {
          const response = await fetch("api/model/latest", { cache: "no-store" });
          if ((await response.json()).version >= a[0]) return;
          await new Promise((resolve) => setTimeout(resolve, 100));
        }""",
        version,
    )


@pytest.mark.deep
def test_a_tab_killed_in_the_middle_of_an_update_leaves_the_old_model_or_the_new_one(
    page: Page, browser: Browser, wire: Wire, server: Server
) -> None:
    page.open(wire.url)
    page.evaluate(WORKER, timeout=BOOT_SECONDS)
    first = page.evaluate(UPDATE + "return outcome")
    old = int(first["version"])
    page.evaluate(REMEMBER)
    new = republish(server, old)
    offered(page, new)
    milliseconds = float(page.evaluate(UPDATE + "return performance.now() - begin"))
    assert page.evaluate(KEPT) == {"version": new, "whole": True}
    moment = random.Random()
    seen = []
    for _ in range(KILLS):
        tab = browser.new_page()
        tab.open(wire.url)
        tab.evaluate(RESET)
        tab.evaluate(WORKER, timeout=BOOT_SECONDS)
        # Not awaited: the tab goes while the update is asked for, fetched, verified or stored.
        tab.evaluate(
            "window.ops.update(); await new Promise((resolve) => setTimeout(resolve, a[0]));",
            moment.uniform(0, LONGER * milliseconds),
        )
        tab.close()
        seen.append(page.evaluate(KEPT))
        assert seen[-1] in ({"version": old, "whole": True}, {"version": new, "whole": True}), seen
    kept_old = sum(state["version"] == old for state in seen)
    print(f"{KILLS} killed within {LONGER * milliseconds:.0f} ms: {kept_old} kept the old model")


@pytest.mark.deep
def test_a_server_restarted_under_an_open_page_is_found_again_and_caught_up_with(
    page: Page, wire: Wire, server: Server
) -> None:
    open_home(page, wire)
    wait_text(page, "#liveState", "Connected")
    page.evaluate("window.neverReloaded = true")
    before = int(text(page, "#modelVersion"))
    port = server.port
    server.stop()
    wait_text(page, "#liveState", "Not connected")
    after = republish(server, before)
    server.start(port)
    wait_text(page, "#modelVersion", f"{before} → {after}", timeout=120)
    wait_text(page, "#liveState", "Connected", timeout=120)
    assert page.evaluate("return window.neverReloaded") is True


@pytest.mark.deep
@pytest.mark.parametrize("name", ["pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json", ".whl"])
def test_a_changed_file_of_python_is_refused_at_once_and_by_name(
    page: Page, server: Server, name: str
) -> None:
    with Tamper(server.url) as relay:
        relay.about = ("/pyodide-",)
        relay.lie = lambda path, truth: truth[:-1] + bytes([truth[-1] ^ 1]) if path.endswith(name) else truth
        page.open(relay.url)
        said = page.evaluate(
            f"try {{ {WORKER} }} catch (error) {{ return error.message; }}", timeout=BOOT_SECONDS
        )
    assert f"{name} is not the file of this release: reload the page" in said


@pytest.mark.deep
def test_no_lie_about_a_model_is_believed_and_none_costs_the_page_its_model(
    page: Page, server: Server
) -> None:
    rng = random.Random(7)
    with Tamper(server.url) as relay:
        page.open(relay.url)
        page.evaluate(WORKER, timeout=BOOT_SECONDS)
        old = int(page.evaluate(UPDATE + "return outcome")["version"])
        new = republish(server, old)
        offered(page, new)
        answers: list[dict[str, Any]] = [
            page.evaluate("return (await fetch(a[0])).json()", f"api/model/latest{query}")
            for query in ("", f"?version={old}")
        ]
        for number in range(LIES):
            name = [*ALTER, "field"][number % (len(ALTER) + 1)]

            def lie(path: str, truth: bytes, name: str = name) -> bytes:
                if path.startswith("/models/"):
                    return truth if name == "field" else ALTER[name](rng, truth)
                if name != "field":
                    return truth
                answer = json.loads(truth)
                return json.dumps(altered_field(rng, answer, answers)).encode()

            relay.lie = lie
            outcome = page.evaluate(UPDATE + "return outcome")
            if outcome["status"] == "updated":  # the lie was about a field on which nothing depends
                assert name == "field"
                assert page.evaluate(KEPT) == {"version": new, "whole": True}
                relay.lie = None
                old, new = new, republish(server, new)
                offered(page, new)
                continue
            assert outcome["status"] == "kept", (name, outcome)
            assert outcome["error"]
            assert page.evaluate(KEPT) == {"version": old, "whole": True}
        relay.lie = lambda path, truth: truth + bytes(30_000_000)  # endless data
        assert page.evaluate(UPDATE + "return outcome")["status"] == "kept"
        relay.lie = None
        assert page.evaluate(UPDATE + "return outcome")["version"] == new
        assert page.evaluate(KEPT) == {"version": new, "whole": True}


@pytest.mark.deep
def test_a_model_and_keys_that_are_not_accepted_are_said_and_the_last_good_model_stays(
    page: Page, server: Server, tmp_path: Path
) -> None:
    """A wrong version under the right keys, then everything under other keys at the same address."""
    stranger = KeyRing.open(tmp_path / "keys")
    with Tamper(server.url) as relay:
        page.open(relay.url)
        wait_for(page, "!find('#run').disabled")
        measure_a_little(page)
        kept = page.evaluate(KEPT)
        offered(page, republish(server, int(kept["version"])))
        relay.lie = lambda path, truth: truth.replace(b'"version":', b'"version":9') if "?" in path else truth
        page.reload()
        wait_for(page, "!find('#run').disabled")
        measure_a_little(page)
        said = wait_text(page, "#liveLog", "a new model was not accepted")
        assert "The last good one stays in use" in said
        assert page.evaluate(KEPT) == kept

        relay.about = ("/api/boot.json", "/roots/")
        relay.lie = lambda path, truth: json.dumps(
            json.loads(truth) | {"root": stranger.root(), "keys": stranger.public()}
        ).encode()
        page.reload()
        wait_for(page, "!find('#run').disabled")
        measure_a_little(page)
        said = wait_text(page, "#notices", "keys that those of your earlier visits have not signed")
        assert "clear this site's data" in said
        assert page.evaluate(KEPT) == kept
        relay.lie = None
        page.reload()
        wait_for(page, "!find('#run').disabled")
        measure_a_little(page)
        assert page.evaluate(KEPT)["version"] > kept["version"], (
            "the server with the remembered keys is believed"
        )
