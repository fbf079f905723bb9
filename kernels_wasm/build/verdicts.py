"""The committed verdicts of the catalogue's modules: verdicts.json, a line for each module by its SHA-256."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_name("verdicts.json")
CODES = {"equal": "E", "reassociated": "R", "fused": "F", "refuted": "X", "undecided": "U"}
EVERY = "every n up to N"
# Assumed in every proof, or what the kernel's parameters say already; readers are told once.
USUAL = frozenset(
    {
        "arrays do not overlap",
        "words are aligned, bytes lie at odd addresses",
        "NaN payloads are not compared",
    }
)
Rows = dict[str, dict[str, Any]]  # by module digest: label, kind, n, wanted, seconds, reason


def read(path: Path = PATH) -> Rows:
    """All rows; none if there is no file yet."""
    return json.loads(path.read_text()) if path.exists() else {}


def write(rows: Rows, path: Path = PATH) -> None:
    """One line for each module, sorted by label, so that a diff shows what changed."""
    ordered = sorted(rows.items(), key=lambda item: (item[1]["label"], item[0]))
    lines = (f"{json.dumps(digest)}: {json.dumps(row, ensure_ascii=False)}" for digest, row in ordered)
    temporary = path.with_suffix(".new")
    temporary.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    temporary.replace(path)


def refuted(rows: Mapping[str, Mapping[str, Any]], digests: Mapping[str, str]) -> list[str]:
    """Labels of modules (label by digest) that are proved to be wrong."""
    return [label for digest, label in digests.items() if rows.get(digest, {}).get("kind") == "refuted"]


def proof(rows: Mapping[str, Mapping[str, Any]], digest: str) -> dict[str, Any]:
    """What the manifest says of a module; nothing of one that nobody tried to prove.

    `proof`: a letter for the verdict and N, such as `E64` (`U3`: not decided, proved up to 3); `scope`: the sizes it
    holds for, if not EVERY; `assumed`: what is not USUAL; `difference`: the largest measured, of what is equal but for
    rounding; `tested`: inputs tried where a proof stopped.
    """
    row = rows.get(digest)
    if row is None:
        return {}
    said: dict[str, Any] = {"proof": f"{CODES[row['kind']]}{max(row['n'], 0)}"}
    scope, *assumed = row.get("assumptions", (EVERY,))  # the prover names the sizes first
    if scope != EVERY:
        said["scope"] = scope
    if assumed := [text for text in assumed if text not in USUAL]:
        said["assumed"] = assumed
    said |= {key: row[key] for key in ("difference", "tested") if row.get(key)}
    return said
