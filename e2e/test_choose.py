"""Journey: choose. The quick benchmark ends in time and leaves, for what it measured, a choice and why."""

from __future__ import annotations

import pytest

from e2e.drivers.base import Page, text, wait_for, wait_text
from e2e.engines import Engine
from e2e.steps import BENCHMARK, BOOT_SECONDS, assert_only_public, measure_a_little, open_home
from e2e.wire import Wire

# Measured without cross-origin isolation (coarse timers), and without SIMD, too. Embedding pages are never isolated:
# test_widget measures in every engine without it.
FURTHER = (
    ("chromium", "plain"),
    ("firefox", "plain"),
    ("webkit", "plain"),
    ("chromium-nosimd", "isolated"),
)
QUICK_SECONDS = 60.0  # 20 of measuring, and what a crowded machine adds
# Every text that the progress line shows, however briefly.
NOTE_PROGRESS = """
window.noted = [];
const line = document.querySelector("#progressText");
new MutationObserver(() => window.noted.push(line.textContent)).observe(line, { childList: true });
"""


def opened(page: Page, wire: Wire, engine: Engine, mode: str) -> None:
    """The page, in an environment that is what it claims to be."""
    open_home(page, wire)
    engine.prove(page)
    assert page.evaluate("return crossOriginIsolated") is (mode == "isolated")
    assert page.evaluate("return document.querySelectorAll('#resultsTable tbody tr').length") >= 5


def assert_measured(page: Page, wire: Wire, engine: Engine) -> None:
    """What the page says of what it measured, and the kernels' files that it fetched for that."""
    measured = page.evaluate(
        "return [...document.querySelectorAll('#resultsTable tbody tr')].map(r => r.innerText).join('\\n')"
    )
    assert "measured here" in measured
    assert "%" in text(page, "#tileOracle")
    assert text(page, "#tileSpeedup")[0].isdigit()

    fetched = {request.path.rsplit("/", 1)[1] for request in wire.requests if "/kernels/" in request.path}
    assert "base.bin" in fetched
    assert ("simd.bin" in fetched) is engine.simd
    # Fetched with the first kernel that has such a variant, which a slow machine may not reach in 20 seconds.
    assert engine.relaxed_simd or "relaxedSimd.bin" not in fetched
    assert_only_public(wire)


def test_a_benchmark_leads_to_a_choice_and_says_why(
    page: Page, wire: Wire, environment: tuple[Engine, str]
) -> None:
    engine, mode = environment
    opened(page, wire, engine, mode)
    page.evaluate(NOTE_PROGRESS)
    page.click("button", BENCHMARK)
    wait_text(page, "#progressText", "Done", timeout=BOOT_SECONDS + QUICK_SECONDS)
    wait_for(page, "!find('#run').disabled")
    noted = page.evaluate("return window.noted")
    fetched = [int(line.split(": ")[1].removesuffix(" %")) for line in noted if "Pyodide" in line]
    assert fetched == sorted(set(fetched)), fetched
    assert fetched[-1] == 100, "how much of Python is here is said while it comes"
    assert any("elements" in line and "s left" in line for line in noted), noted
    assert_measured(page, wire, engine)


@pytest.mark.deep
@pytest.mark.only_in(*FURTHER)
def test_what_is_measured_in_another_environment_is_the_choice_there(
    page: Page, wire: Wire, environment: tuple[Engine, str]
) -> None:
    engine, mode = environment
    opened(page, wire, engine, mode)
    measure_a_little(page)
    assert_measured(page, wire, engine)
