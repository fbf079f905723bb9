"""axe-core over what a page shows now. Only the tests inject it; the page itself never loads it."""

from __future__ import annotations

from functools import cache
from typing import Any

from e2e.drivers.base import FIND, Page
from e2e.server import ROOT

SOURCE = ROOT / "browser" / "node_modules" / "axe-core" / "axe.min.js"
RUN = """
const found = await axe.run(find(a[0]), { resultTypes: ["violations"], rules: a[1] });
return found.violations.flatMap(({ id, impact, help, nodes }) =>
  nodes.map(({ target, failureSummary }) => ({ id, impact, help, target: target.flat().join(" "), failureSummary })));
"""


@cache
def _source() -> str:
    return SOURCE.read_text()


def violations(page: Page, within: str = "html", *, off: tuple[str, ...] = ()) -> list[str]:
    """Every violation of axe's default rules (WCAG 2.0-2.2 A and AA, best practices) within the first match of a
    selector, shadow roots included: one line each; `off` names rules that do not apply to a part of a page."""
    # Evaluated by the driver and not by the page, so that the content security policy stays as it is.
    page.evaluate(f"if (!window.axe) {{ {_source()} }}")
    found: list[dict[str, Any]] = page.evaluate(FIND + RUN, within, {rule: {"enabled": False} for rule in off})
    return [f"{v['impact']} {v['id']}: {v['target']}: {v['help']}\n{v['failureSummary']}" for v in found]
