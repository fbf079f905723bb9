"""Places: one kernel in one environment. Which rows of a model speak for a place, and the clip of its
reports.

A browser version that the model does not know starts at its nearest predecessor: engines change little from
one version to the next, so the predecessor's rows are a better guess than the engine's mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from fleetune.artefact import SHIFTS, TABLE_SHIFT, Artefact
from fleetune.context import Environment
from fleetune.features import environment_key, lineage_key
from fleetune.limits import BITS

PLACE = ("kernel", "environment")  # the table that has one row for every place with reports or lab rows
CLIP_UNIT = 0.01


@dataclass(frozen=True)
class Places:
    """The places of one artefact."""

    artefact: Artefact

    def environment(self, signature: str, environment: Environment) -> int:
        """The vocabulary entry whose rows speak for this place; −1 if nothing is known of its lineage.

        The environment itself if it has rows of the kernel, else the nearest version of the same lineage
        that has some (older ones first), else the nearest of unknown architecture, else the nearest of the
        two that is known at all.
        """
        kernel = self._kernels.get(signature, -1)
        relatives = self._relatives(environment)
        with_rows = (code for code in relatives if (kernel, code) in self._known)
        return next(with_rows, relatives[0] if relatives else -1)

    def inherits(self, signature: str, environment: Environment) -> bool:
        """Whether another version's rows speak for this place."""
        code = self.environment(signature, environment)
        return code >= 0 and self.artefact.vocabulary["environment"][code] != environment_key(environment)

    def clip(self, signature: str, environment: Environment) -> float:
        """Half-width of the residuals that reports about this place carry against this model.

        The usual one, except at places that the model lists, and at places without rows of their own.
        """
        if "clip.new" not in self.artefact.stored:  # a model from before clips differed by place
            return self.artefact.clip
        new_kernel, new_environment = self._clips("clip.new")
        place = self._kernels.get(signature, -1), self._environments.get(environment_key(environment), -1)
        if place[0] < 0:
            return new_kernel
        return self._listed_clips.get(place, self.artefact.clip) if place in self._known else new_environment

    def _relatives(self, environment: Environment) -> list[int]:
        """Entries of this environment's lineage: itself, older versions from the newest, then newer ones;
        then the same without an architecture, where reports of older pages are."""

        def order(item: tuple[int, int]) -> tuple[bool, int]:
            return item[0] > environment.version, abs(item[0] - environment.version)

        lineages = dict.fromkeys([lineage_key(environment), lineage_key(environment.any_arch)])
        return [code for one in lineages for _, code in sorted(self._lineages.get(one, []), key=order)]

    @cached_property
    def _kernels(self) -> Mapping[str, int]:
        return {word: i for i, word in enumerate(self.artefact.vocabulary["kernel"])}

    @cached_property
    def _environments(self) -> Mapping[str, int]:
        return {word: i for i, word in enumerate(self.artefact.vocabulary["environment"])}

    @cached_property
    def _lineages(self) -> Mapping[str, list[tuple[int, int]]]:
        """(version, entry) of the environments of each lineage."""
        lineages: dict[str, list[tuple[int, int]]] = {}
        for code, key in enumerate(self.artefact.vocabulary["environment"]):
            browser, version, rest = key.split(" ", 2)
            lineages.setdefault(f"{browser} {rest}", []).append((int(version), code))
        return lineages

    @cached_property
    def _known(self) -> frozenset[tuple[int, int]]:
        """(kernel, environment) entries of the places that have rows."""
        if PLACE not in self.artefact.crosses:
            return frozenset()
        keys = self.artefact.keys
        keys = keys[keys >> TABLE_SHIFT == self.artefact.crosses.index(PLACE)]
        columns = (keys >> SHIFTS[name] & ((1 << BITS[name]) - 1) for name in PLACE)
        return frozenset(zip(*((column - 1).tolist() for column in columns), strict=True))

    @cached_property
    def _listed_clips(self) -> Mapping[tuple[int, int], float]:
        columns = (self.artefact.stored[name].tolist() for name in ("clip.kernel", "clip.environment"))
        return dict(zip(zip(*columns, strict=True), self._clips("clip.value"), strict=True))

    def _clips(self, name: str) -> list[float]:
        """Decimal hundredths, so that browser, server and the packet's JSON have the very same number."""
        return [round(code * CLIP_UNIT, 2) for code in self.artefact.stored[name].tolist()]
