"""The catalogue as served now: the build, and what an operator adds to it or takes away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping

from fleetune.manifest import Kernel, Manifest, ManifestError
from fleetune_server.common.assets import Asset
from fleetune_server.kernels.catalogue import Catalogue, names_of
from fleetune_server.kernels.package import Package
from fleetune_server.kernels.shelf import MAX_KERNELS, Shelf, package_of

log = logging.getLogger(__name__)
EARLIER = 4  # catalogues whose files stay, for pages that hold their address


class FullError(Exception):
    """There is no room for another kernel."""


class ServedCatalogue:
    """One catalogue at a time; whoever serves, checks, decides or trains asks for it anew each time."""

    def __init__(
        self,
        built: Catalogue,
        shelf: Shelf,
        taken: Callable[[], Mapping[str, Collection[str]]] = dict,
    ) -> None:
        self.current = built
        self._taken = taken  # names that the model has, by field
        self._shelf = shelf
        self._marks: Mapping[str, str] = {}  # of the own kernels in `current`
        self._earlier: list[Catalogue] = []
        self._changing = asyncio.Lock()
        self.adopted: Callable[[Catalogue], Awaitable[None]] | None = None  # called before it is served

    def manifest(self) -> Manifest:
        """The manifest of the catalogue as served now."""
        return self.current.manifest

    def kernels(self) -> Mapping[str, Kernel]:
        """Its kernels by signature."""
        return self.current.manifest.by_signature

    def file(self, root: str, name: str) -> Asset | None:
        """A file of this or a recent catalogue; `root` is the prefix of its address."""
        catalogues = (self.current, *self._earlier)
        return next((one.files.get(name) for one in catalogues if one.root == root), None)

    async def follow(self) -> None:
        """Take over what is in the store if another replica changed it."""
        if await self._shelf.marks() == self._marks:
            return
        async with self._changing:
            marks = await self._shelf.marks()
            if marks != self._marks:  # it was not this one's own operator
                await self._adopt(marks)
                log.info("kernels taken over", extra={"kernels": sorted(marks)})

    async def add(self, document: bytes) -> Package:
        """Serve a kernel, or take reports about a job, from now on.

        SpecError or ManifestError say what is wrong with it, FullError that
        there are too many; then nothing was changed."""
        package = await asyncio.to_thread(package_of, document)
        name = package.entry["name"]
        async with self._changing:
            packages, _ = await self._shelf.packages()
            others = [other for other in packages if other.entry["name"] != name]
            if len(others) >= MAX_KERNELS:
                raise FullError(f"there are {MAX_KERNELS} kernels already: remove one")
            await asyncio.to_thread(self.current.with_own, [*others, package], self._known(self.current))
            await self._shelf.put(name, document)
            await self._adopt(await self._shelf.marks())
        return package

    async def remove(self, name: str) -> bool:
        """Forget a kernel; False if there is none of that name."""
        async with self._changing:
            found = await self._shelf.remove(name)
            if found:
                await self._adopt(await self._shelf.marks())
        return found

    def _known(self, catalogue: Catalogue) -> dict[str, set[str]]:
        """Names that the catalogue or the model has already, by field."""
        taken = self._taken()
        return {
            field: names | set(taken.get(field, ())) for field, names in names_of(catalogue.manifest).items()
        }

    async def _adopt(self, marks: Mapping[str, str]) -> None:
        """Serve the build and what is on the shelf; a kernel that cannot be used is left out and named."""
        packages, problems = await self._shelf.packages()
        catalogue = self.current.with_own([])
        kept: list[Package] = []
        for package in packages:
            try:
                known = names_of(catalogue.manifest)
                catalogue = await asyncio.to_thread(self.current.with_own, [*kept, package], known)
                kept.append(package)
            except ManifestError as error:
                problems.append(f"{package.entry['name']}: {error}")
        if problems:
            log.error("own kernels cannot be used", extra={"problems": problems})
            catalogue = catalogue.with_problem(f"own kernels: {'; '.join(problems)}")
        if self.adopted:
            await self.adopted(catalogue)
        self._earlier = [self.current, *self._earlier][:EARLIER]
        self.current, self._marks = catalogue, marks
