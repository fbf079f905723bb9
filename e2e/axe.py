"""axe-core over what a page shows now. Only the tests inject it; the page itself never loads it."""

from __future__ import annotations

from functools import cache
from typing import Any

from e2e.drivers.base import FIND, Page
from e2e.server import ROOT

SOURCE = ROOT / "browser" / "node_modules" / "axe-core" / "axe.min.js"
RUN = """
const seen = await axe.run(find(a[0]), { resultTypes: ["violations"], rules: a[1] });
return seen.violations.flatMap(({ id, impact, help, nodes }) =>
  nodes.map(({ target, failureSummary: why }) => ({ id, impact, help, target: String(target), why })));
"""


@cache
def _source() -> str:
    return SOURCE.read_text()


def violations(page: Page, within: str = "html", *, off: tuple[str, ...] = ()) -> list[str]:
    """Every violation of axe's default rules (WCAG A and AA, best practices) within the first match of
    a selector, shadow roots included. `off` names rules that do not apply to a part of a page."""
    # Evaluated by the driver and not by the page, so that the content security policy stays as it is.
    page.evaluate(f"if (!window.axe) {{ {_source()} }}")
    rules = {rule: {"enabled": False} for rule in off}
    found: list[dict[str, Any]] = page.evaluate(FIND + RUN, within, rules)
    return [f"{v['impact']} {v['id']}: {v['target']}: {v['help']}\n{v['why']}" for v in found]
