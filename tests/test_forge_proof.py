"""The prover: what it proves of the catalogue, what it refutes, and what the build makes of it."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from kernels_wasm.build import verdicts
from kernels_wasm.build.builder import read_proofs
from kernels_wasm.build.compiler import BuildError
from kernels_wasm.forge.__main__ import main
from kernels_wasm.forge.proof import Prover, Spec, Verdict, prove
from kernels_wasm.forge.proof.command import load_modules
from kernels_wasm.forge.proof.program import load
from kernels_wasm.forge.proof.prove import thresholds
from kernels_wasm.forge.proof.replay import replays
from tests.forge_mutants import Attack

from fleetune import proof

TABLE, MODULES = load_modules()
KERNELS = {kernel.name: kernel for kernel in TABLE.kernels}


def check(label: str, most: int, wasm: bytes | None = None, *, solver: bool = True) -> Verdict:
    name = label.split("/")[0]
    scalar = MODULES[f"{name}/scalar"]
    return prove(Spec.of(KERNELS[name]), scalar, wasm or MODULES[label], most, 30, use_solver=solver)


@pytest.mark.parametrize(
    ("label", "n", "kind"),
    [
        ("saxpy/inlining+loopUnrolling+vectorization", 18, "equal"),
        ("saxpy/inlining+relaxedSimd+vectorization", 9, "fused"),
        ("dot/inlining+loopUnrolling+vectorization", 18, "reassociated"),
        ("crc32/inlining+lookupTable+slicing4", 6, "equal"),
        ("rgb_to_grey/inlining+vectorization", 17, "equal"),
        ("memchr/inlining+loopUnrolling+swar", 17, "equal"),
        ("saturating_add/inlining+swar", 9, "equal"),
        ("histogram/inlining+privateCounters+swar", 5, "equal"),
        ("base64/inlining+lookupTable", 4, "equal"),
        ("transpose/inlining+vectorization", 6, "equal"),
    ],
)
def test_a_fast_share_of_the_catalogue_is_proved_afresh_without_a_solver(
    label: str, n: int, kind: str
) -> None:
    verdict = check(label, n, solver=False)
    assert (verdict.kind, verdict.n) == (kind, n), verdict.reason
    assert verdict.assumptions
    if kind == "equal":
        assert verdict.difference is None
    else:  # of values up to 1 in single precision
        assert verdict.difference is not None
        assert 0 < verdict.difference < 2**-18


def test_another_kernel_is_refuted_with_inputs_that_replay() -> None:
    """Histogram with a constant changed: the refutation is JSON that shows the difference again."""
    label = "prefix_sum/inlining+vectorization"
    wrong = MODULES[label].replace(b"\xfd\xae\x01", b"\xfd\xb1\x01")  # i32x4.add becomes i32x4.sub
    assert wrong != MODULES[label]
    verdict = check(label, 12, wrong)
    assert verdict.kind == "refuted"
    assert verdict.n == 3  # vectors begin at 4
    found = json.loads(json.dumps(verdict.as_dict()))["counterexample"]
    spec, scalar = Spec.of(KERNELS["prefix_sum"]), MODULES["prefix_sum/scalar"]
    assert replays(spec, scalar, wrong, found)
    assert not replays(spec, scalar, MODULES[label], found)


def test_code_beyond_a_threshold_is_found_and_tested() -> None:
    label = "copy/bulkMemory+inlining+vectorization"
    assert thresholds(load(MODULES[label]), 16) == [255] or 256 in thresholds(load(MODULES[label]), 16)
    wrong = MODULES[label].replace(b"\xfc\x0a\0\0", b"\x1a\x1a\x1a\x01")  # memory.copy becomes three drops
    assert wrong != MODULES[label]
    assert check(label, 8).kind == "equal"
    verdict = check(label, 8, wrong)
    assert verdict.kind == "refuted"
    assert verdict.n == 8  # equal to there, wrong from 256 on


def test_a_write_outside_is_refuted() -> None:
    """Scratch that no result hangs on: one store past the end of `out`."""
    label = "copy/scalar"
    data = MODULES[label]
    moved = data.replace(b"\x3a\0\0", b"\x3a\0\x01")  # i32.store8 one byte on
    assert moved != data
    assert check(label, 6, moved).kind == "refuted"


def test_enough_decides_whether_a_proof_counts() -> None:
    prover = Prover(Spec.of(KERNELS["saxpy"]), MODULES["saxpy/scalar"])
    data = MODULES["saxpy/inlining+vectorization"]
    assert prover.prove(data, 4, 30, enough=4).proved
    early = prover.prove(data, 4, 30, enough=5)
    assert (early.kind, early.n) == ("undecided", 4)


def test_no_mutant_of_a_small_share_is_wrongly_proved() -> None:
    """`python -m tests.forge_mutants` does the same with hundreds."""
    attack = Attack(most=9, deadline=3)
    rows = [attack.judge(mutant, 500, 7 + k) for k, mutant in enumerate(attack.make(10, 20))]
    assert not [r for r in rows if r["differs"] and r["verdict"] not in ("refuted", "undecided")]
    assert sum(r["verdict"] == "refuted" for r in rows) >= 5


def test_the_committed_verdicts_are_of_the_catalogue_as_it_is() -> None:
    rows = verdicts.read()
    digests = {sha256(data).hexdigest(): label for label, data in MODULES.items()}
    stale = [row["label"] for digest, row in rows.items() if digests.get(digest) != row["label"]]
    assert not stale, "prove them again: python -m kernels_wasm.forge prove --all"
    assert not verdicts.refuted(rows, digests)
    decided = [row for row in rows.values() if row["kind"] in ("equal", "reassociated", "fused")]
    assert all(row["n"] >= row["wanted"] for row in decided)
    assert len(decided) >= 0.7 * 249
    assert all(("difference" in row) == (row["kind"] != "equal") for row in decided)
    assert all(row["tested"] >= 300 for row in rows.values() if row["kind"] == "undecided")
    said = {text for row in decided for text in row["assumptions"] if text not in verdicts.USUAL}
    assert all(proof.own(text, "ru") != text for text in said - {verdicts.EVERY}), "say it in Russian too"


def write_rows(root: Path, rows: dict[str, Any]) -> None:
    (root / "build").mkdir()
    verdicts.write(rows, root / "build/verdicts.json")


def test_the_build_carries_proofs_and_refuses_what_is_refuted(tmp_path: Path) -> None:
    modules = {"k/a": b"one", "k/b": b"two", "k/c": b"three"}
    rows: dict[str, Any] = {
        sha256(b"one").hexdigest(): {
            "label": "k/a",
            "kind": "fused",
            "n": 64,
            "difference": 3e-7,
            "assumptions": ["every width up to N", "arrays do not overlap", "something rare"],
        },
        sha256(b"two").hexdigest(): {"label": "k/b", "kind": "undecided", "n": -1, "tested": 900},
        sha256(b"old").hexdigest(): {"label": "k/c", "kind": "refuted", "n": 3},  # of other bytes: stale
    }
    write_rows(tmp_path, rows)
    first = {
        "proof": "F64",
        "scope": "every width up to N",
        "assumed": ["something rare"],
        "difference": 3e-7,
    }
    assert read_proofs(modules, tmp_path) == {"k/a": first, "k/b": {"proof": "U0", "tested": 900}, "k/c": {}}
    with pytest.raises(BuildError, match="k/c"):
        read_proofs({"k/c": b"old"}, tmp_path)
    assert not any(read_proofs(modules, tmp_path / "without").values())


def test_the_command_resumes_and_names_an_unknown_kernel(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "verdicts.json"
    arguments = ["prove", "saxpy", "--json", "--n", "5", "--results", str(results)]
    assert main(arguments) == 0
    first = capsys.readouterr()
    found = json.loads(first.out)
    assert found["modules"] == found["decided"] == 8
    assert found["refuted"] == 0
    assert found["kernels"]["saxpy"]["n"] == 5
    assert main(arguments) == 0
    again = capsys.readouterr()
    assert "saxpy" in first.err
    assert "saxpy" not in again.err  # nothing was proved twice
    assert json.loads(again.out)["verdicts"] == found["verdicts"]
    assert main(["prove", "nonsense", "--results", str(results)]) == 2
    assert "nonsense" in capsys.readouterr().err
