"""The kernels as served: the build, in memory under its manifest's hash, and what an operator adds or takes away."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from fleetune.limits import CAPACITY
from fleetune.manifest import BASELINE, SCHEMA, Kernel, Manifest, ManifestError
from fleetune.proof import in_words
from fleetune_server.common.assets import IMMUTABLE, Asset, sri
from fleetune_server.kernels.package import Package
from fleetune_server.kernels.shelf import MAX_KERNELS, Shelf, package_of

_NOTHING = json.dumps({"schema": SCHEMA, "bundles": {}, "kernels": []}).encode()
log = logging.getLogger(__name__)
EARLIER = 4  # catalogues whose files stay, for pages that hold their address


class CapacityError(ManifestError):
    """The model has no room for the names that a kernel would bring."""


def names_of(manifest: Manifest) -> dict[str, set[str]]:
    """The names that a catalogue brings into a model, by field."""
    kernels = manifest.named.values()
    return {
        "kernel": {kernel.signature for kernel in kernels},
        "pattern": {context.pattern for kernel in kernels for _, _, _, context in kernel.contexts()},
        "candidate": {name for kernel in kernels for name in (*kernel.baselines, *kernel.variants)}
        - {BASELINE},
    }


def _must_fit(
    built: Mapping[str, set[str]], whole: Mapping[str, set[str]], taken: Mapping[str, Collection[str]]
) -> None:
    for field, names in whole.items():
        known = built[field] | set(taken.get(field, ()))
        new = sorted(names - known)
        if new and len(known) + len(new) > CAPACITY[field]:
            raise CapacityError(
                f"{field}s: the model has room for {CAPACITY[field]} names and knows {len(known)}; "
                f"{', '.join(new[:6])} would be too many: use names that other kernels have"
            )


@dataclass(frozen=True)
class Catalogue:
    """One build: rebuilding while the server runs cannot mix two builds in one page."""

    manifest: Manifest
    root: str  # URL prefix of the files: /kernels/<sha256 of manifest.json>/
    listing: Asset  # the manifest with its root
    files: dict[str, Asset]
    problem: str | None = None
    built: Catalogue | None = None  # the same without an operator's own kernels

    def with_own(
        self, packages: Sequence[Package], taken: Mapping[str, Collection[str]] | None = None
    ) -> Catalogue:
        """The built catalogue and these kernels; ManifestError if two share a name or a profile.

        `taken`: names that the model has already, by field. CapacityError if it has no room for those that
        these kernels bring.
        """
        built = self.built or self
        if not packages:
            return built
        names = dict.fromkeys(built.manifest.kernels)
        jobs = []
        profiles = {kernel.signature: name for name, kernel in built.manifest.kernels.items()}
        files, bundles = dict(built.files), dict(built.manifest.raw["bundles"])
        packages = sorted(packages, key=lambda package: str(package.entry["name"]))
        for package in packages:
            name, signature = package.entry["name"], package.entry["profileSignature"]
            if name in names:
                raise ManifestError(f"name: the catalogue has a kernel {name} already")
            if signature in profiles:
                other = profiles[signature]
                raise ManifestError(
                    f"variants: {name} has the very profile of {other}, so reports could not tell them apart: use"
                    f" {other} if it does the same, or choose() in the page, which needs no profile"
                )
            names[name], profiles[signature] = None, name
            if package.job:
                jobs.append(package.entry)
                continue
            bundles |= package.bundles
            for path, body in package.files.items():
                files[path] = Asset(body, PurePosixPath(path).suffix, IMMUTABLE)
            for variant in package.entry["variants"]:
                files[f"embed/{name}/{variant['name']}.wasm"] = files[variant["bundle"]]
            files[f"embed/{name}.json"] = _entry(package.entry, {}, files)
        own = [package.entry for package in packages if not package.job]
        kernels = [*built.manifest.raw["kernels"], *own]
        whole_raw = {**built.manifest.raw, "bundles": bundles, "kernels": kernels}
        source = json.dumps({**whole_raw, "jobs": jobs} if jobs else whole_raw).encode()
        whole = replace(self._of(source, files, built.problem), built=built)
        _must_fit(names_of(built.manifest), names_of(whole.manifest), taken or {})
        return whole

    def called(self, kernel: str) -> dict[str, str]:
        """The files that a page loads to call a kernel, with their integrity; scripts in the order of their imports."""
        names = (f"embed/{kernel}{end}" for end in (".json", ".source.js", ".js"))
        return {name: sri(self.files[name].body) for name in names if name in self.files}

    def with_problem(self, problem: str) -> Catalogue:
        """The same, and what an operator should know about it."""
        return replace(self, problem=problem, built=self.built or self)

    @classmethod
    def load(cls, folder: Path) -> Catalogue:
        """Read and verify a build; without one the catalogue is empty and `problem` says what to do.

        Raises ManifestError if a file is not the one the manifest names.
        """
        try:
            source = (folder / "manifest.json").read_bytes()
        except FileNotFoundError:
            return cls._of(_NOTHING, {}, f"no kernels in {folder.name}/: run `make kernels` and restart")
        manifest = Manifest.load(source)
        named = {bundle.path: bundle.sha256 for bundle in manifest.bundles.values()}
        if "scripts" in manifest.raw:
            named[manifest.raw["scripts"]["path"]] = manifest.raw["scripts"]["sha256"]
        files = {}
        for name, digest in named.items():
            body = (folder / name).read_bytes()
            if hashlib.sha256(body).hexdigest() != digest:
                raise ManifestError(f"{name} is not the file that manifest.json names: run `make kernels`")
            files[name] = Asset(body, PurePosixPath(name).suffix, IMMUTABLE)
        return cls._of(source, files | _embedded(folder, manifest, files), None)

    @classmethod
    def _of(cls, source: bytes, files: dict[str, Asset], problem: str | None) -> Catalogue:
        manifest = Manifest.load(source)
        root = f"/kernels/{hashlib.sha256(source).hexdigest()}/"
        listing = json.dumps({**manifest.raw, "root": root}, separators=(",", ":")).encode()
        return cls(manifest, root, Asset(listing, ".json"), files, problem)


def _embedded(folder: Path, manifest: Manifest, bundles: Mapping[str, Asset]) -> dict[str, Asset]:
    """What pages that call kernels fetch, a kernel at a time: its script, its manifest entry, its modules."""
    files = {}
    for entry in manifest.raw["kernels"]:
        name = f"embed/{entry['name']}"
        if "embed" in entry:
            script = (folder / entry["embed"]["path"]).read_bytes()
            if hashlib.sha256(script).hexdigest() != entry["embed"]["sha256"]:
                raise ManifestError(f"{name}.js is not the file that manifest.json names: run `make kernels`")
            files[f"{name}.js"] = Asset(script, ".js", IMMUTABLE)
        kernel = manifest.kernels[entry["name"]]
        proofs = {variant.name: in_words(kernel, variant) for variant in kernel.variants.values()}
        for variant in kernel.variants.values():
            bundle = bundles[manifest.bundles[variant.bundle].path].body
            module = bundle[variant.offset : variant.offset + variant.size]
            files[f"{name}/{variant.name}.wasm"] = Asset(module, ".wasm", IMMUTABLE)
        files[f"{name}.json"] = _entry(entry, proofs, files)
    return files


# What is read of a kernel and of each module to call it; the rest (profiles, places in bundles) only Python and the
# benchmark need, and they have the whole manifest.
CALLED = frozenset({"name", "features", "export", "adapter"})
NOT_CALLED = frozenset({"profile", "profileSignature", "embed", "variants"})


def _entry(entry: Mapping[str, Any], proofs: Mapping[str, str], files: Mapping[str, Asset]) -> Asset:
    """What pages that call a kernel read of its manifest entry, with what browsers compare its modules with, and
    proofs in words."""
    variants = []
    for variant in entry["variants"]:
        name = variant["name"]
        integrity = sri(files[f"embed/{entry['name']}/{name}.wasm"].body)
        proof = {"proof": proofs[name]} if name in proofs else {}
        read = {key: value for key, value in variant.items() if key in CALLED}
        variants.append({**read, "integrity": integrity, **proof})
    kept = {key: value for key, value in entry.items() if key not in NOT_CALLED}
    whole = json.dumps({**kept, "variants": variants}, separators=(",", ":"))
    return Asset(whole.encode(), ".json", IMMUTABLE)


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
