"""The wheel carries what the server serves: page, Pyodide runtime, kernels, lab and first model, all built before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# Below fleetune_server/bundle in the wheel, at the same place as in a checkout.
PARTS = (
    "browser/web",
    "browser/dist",
    "browser/node_modules/uplot/dist",
    "kernels_wasm/dist",
    "kernels_wasm/lab",
    "server/dist",
)
LEFT_OUT = (".d.ts", ".map", ".py", ".md", "LICENSE")  # nobody asks for these


class Bundle(BuildHookInterface[Any]):
    """Adds the parts to a wheel; an editable install serves the checkout itself."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name each file; RuntimeError if something was not built."""
        if version == "editable":
            return
        root = Path(self.root)
        missing = [part for part in PARTS if not (root / part).is_dir()]
        if missing:
            raise RuntimeError(f"build first, by `make wheel`: there is no {', '.join(missing)}")
        for part in PARTS:
            for path in sorted((root / part).rglob("*")):
                name = path.relative_to(root).as_posix()
                if path.is_file() and not name.endswith(LEFT_OUT):
                    build_data["force_include"][str(path)] = f"fleetune_server/bundle/{name}"
