"""What the forge found, as text: speed by engine and size, verdicts, and what was dropped and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from kernels_wasm.forge.tune import Tuned, by_place, geometric_mean
from kernels_wasm.forge.write import Named, tested
from kernels_wasm.translate.source import Source

JAVASCRIPT = ("js", "js-tuned")


@dataclass
class Report:
    """One forging, from source to files."""

    source: Source
    variants: Sequence[Named]  # all that were timed, or that would have been
    kept: Sequence[str]
    dropped: Sequence[tuple[str, str]]
    seconds: float
    tuned: Tuned | None = None
    verdicts: dict[str, str] = field(default_factory=dict)  # by the module's digest
    unvectorised: Sequence[str] = ()

    def speedups(self) -> dict[str, float]:
        """Engine → times as fast as the faster JavaScript, the best kept variant, geometric mean over places."""
        if self.tuned is None:
            return {}
        ratios: dict[str, list[float]] = {}
        for (engine, _, _), times in by_place(self.tuned.timings).items():
            script = min(times[name] for name in JAVASCRIPT if name in times)
            best = min((times[name] for name in self.kept if name in times), default=script)
            ratios.setdefault(engine, []).append(script / best)
        return {engine: geometric_mean(values) for engine, values in ratios.items()}

    def text(self) -> str:
        """For the terminal and the report file."""
        lines = [f"{self.source.name}: {self.source.summary}", ""]
        for variant in self.variants:
            mark = "kept   " if variant.name in self.kept else "dropped"
            verdict = self.verdicts.get(variant.candidate.digest) or tested(variant)
            lines.append(f"  {mark} {variant.name:56} {len(variant.candidate.module):6} bytes  {verdict}")
        if self.tuned is not None:
            lines += ["", "Times as fast as the faster JavaScript:"]
            for (engine, size, pattern), times in sorted(by_place(self.tuned.timings).items()):
                script = min(times[name] for name in JAVASCRIPT if name in times)
                best = sorted((ms, name) for name, ms in times.items() if name in self.kept)
                shown = ", ".join(f"{script / ms:.2f} {name}" for ms, name in best[:3])
                lines.append(f"  {engine:9} {size:>9,} {pattern:12} {1e3 * script:>10.3f} µs  {shown}")
            means = ", ".join(f"{engine} {value:.2f}" for engine, value in self.speedups().items())
            lines.append(f"  geometric mean of the best kept: {means}")
            versions = ", ".join(f"{name} {version}" for name, version in self.tuned.browsers.items())
            lines += [f"  {versions}", *(f"  {problem}" for problem in self.tuned.problems)]
        if self.dropped or self.unvectorised:
            lines += ["", "Not timed:"]
            lines += [f"  {name}: {reason}" for name, reason in self.dropped]
            lines += [f"  {reason}" for reason in self.unvectorised]
        return "\n".join([*lines, "", f"{self.seconds:.0f} s from source to kernel", ""])
