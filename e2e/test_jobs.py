"""Journey: jobs. A page's own functions, registered at a server: its guess, and reports of what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from tests.test_jobs import described

from e2e.drivers.base import Page, wait_for
from e2e.embedder import Embedder, policy
from e2e.server import Server
from e2e.steps import BOOT_SECONDS, sent_packets
from e2e.wire import Wire
from fleetune_server.http.own_kernels import Tokens

HEAD = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Someone\'s page</title><h1>Jobs</h1>'
SCRIPT = """
import { choose } from "SERVERchoose.js";
import { sharing } from "SERVERstatic/embed/share.js";
const sum = (data) => data.reduce((total, value) => total + value, 0);
const again = (n) => (data) => { let total = 0; for (let i = 0; i < n; i++) total = sum(data); return total; };
const stated = (version, call) => ({ version, async: false, load: () => call });
const implementations = {
  noble: stated("1.4.0", again(9)), hashWasm: stated("4.12.0", again(3)), webcrypto: stated("1", sum),
};
const input = (n, random) => Uint8Array.from({ length: n }, () => 256 * random());
const failed = [];
const options = { input, sizes: [1024, 4096], measure: "never", server: "SERVER" };
const chosen = await choose("sha256", implementations, options);
chosen.addEventListener("failed", ({ detail }) => failed.push(detail.message));
const before = chosen.explain({ size: 1024 });
const share = await sharing("SERVER");
const button = document.body.appendChild(document.createElement("button"));
button.textContent = "Share";
button.onclick = async () => {
  try {
    await share.consent.record("on");
    await chosen.measure({ budgetMs: 3000 });
    const { taken } = await share.add(chosen);
    const { text } = await share.preview();
    const { status } = await share.send({ shown: text });
    window.shared = { before, after: chosen.explain({ size: 1024 }), taken, text, status, failed };
  } catch (error) {
    window.shared = { error: String(error.stack ?? error) };
  }
};
window.loaded = true;
"""


@pytest.mark.deep
def test_what_choose_measured_of_a_registered_job_is_shared_with_consent(
    page: Page, wire: Wire, server: Server
) -> None:
    token = Tokens(Path(server.data) / "operators.json").new()
    headers = {"authorization": f"Bearer {token}"}
    added = httpx.post(
        f"{server.url}api/own-kernels", content=json.dumps({"job": described()}), headers=headers, timeout=60
    )
    assert added.status_code == 201, added.text
    files = {
        "/": f'{HEAD}<script type="module" src="/page.js"></script>',
        "/page.js": SCRIPT.replace("SERVER", wire.url),
    }
    with Embedder(files, policy(wire.url)) as site:
        page.open(f"{site.origin}/")
        wait_for(page, "window.loaded")
        assert sent_packets(wire) == []
        page.click("button", "Share")
        shared = wait_for(page, "window.shared", timeout=BOOT_SECONDS)
    assert "error" not in shared, shared["error"]
    assert (shared["before"]["implementation"], shared["before"]["source"]) == ("noble", "default")
    assert (shared["after"]["implementation"], shared["after"]["source"]) == ("webcrypto", "measured")
    assert (shared["taken"], shared["status"], shared["failed"]) == (2, 202, [])
    (packet,) = sent_packets(wire)
    assert packet == json.loads(shared["text"])
    assert packet["profileSignature"] == added.json()["profileSignature"]
    assert set(packet["actualSpeedups"]) < {"hashWasm", "webcrypto"}
    asked = [request.path for request in wire.requests if "job=" in request.path]
    assert len(asked) == 2, "the guess, and the description when it is shared"
