"""Proofs that a variant does what its scalar module does."""

from kernels_wasm.forge.proof.cases import Spec
from kernels_wasm.forge.proof.domains import Domain
from kernels_wasm.forge.proof.prove import Prover, Verdict, prove

__all__ = ["Domain", "Prover", "Spec", "Verdict", "prove"]
