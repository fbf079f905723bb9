"""Context (the coarse call pattern) and environment (the coarse browser cell), and their hashes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

MAX_LOG2_SIZE = 31
MAX_BROWSER_VERSION = 9999
DTYPES = ("f32", "f64", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64")
BROWSERS = ("chromium", "firefox", "webkit", "other")
# Engines with a compiler tier switched off: measured by maintainers, never claimed by a visitor's browser.
LAB_BROWSERS = ("chromium-baseline", "firefox-baseline", "webkit-baseline")
SYSTEMS = ("windows", "macos", "linux", "android", "ios", "other")
CORES = ("1", "2-3", "4-7", "8-15", "16+")
# Pages tell them by the sign of the NaN that ∞ − ∞ makes, which needs no WebAssembly.
# RISC-V and others that make the same NaN as ARM count as ARM.
ARCHITECTURES = ("x86", "arm")
UNKNOWN = "other"  # another architecture, or one that nobody told
COPIED = "+copied"


def canonical_json(value: object) -> bytes:
    """The one byte string of a JSON value: sorted keys, no spaces, UTF-8, no NaN."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def short_hash(value: object, digits: int) -> str:
    """The first `digits` hex digits of the SHA-256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value)).hexdigest()[:digits]


def log2_bucket(size: int) -> int:
    """The log2 size bucket of a problem of `size` elements: 0 for 0 and 1, else round(log2(size))."""
    if size < 2:
        return 0
    floor = size.bit_length() - 1
    # Rounding log2 up starts at 2^floor * sqrt(2); compared in integers so that every platform agrees.
    return min(floor + (size * size >= 1 << (2 * floor + 1)), MAX_LOG2_SIZE)


@dataclass(frozen=True, slots=True, order=True)
class Context:
    """One coarse call pattern: log2 size bucket, element type, data pattern (`random`, `random+copied` …)."""

    log2_size: int
    dtype: str
    pattern: str

    @classmethod
    def of(cls, size: int, dtype: str, pattern: str, *, copied: bool = False) -> Context:
        """The context of a call on `size` elements; `copied` if arrays are copied in and out on each call."""
        return cls(log2_bucket(size), dtype, pattern + COPIED if copied else pattern)

    @property
    def copied(self) -> bool:
        """Whether typed arrays are copied into and out of WebAssembly memory on every call."""
        return self.pattern.endswith(COPIED)

    @property
    def base_pattern(self) -> str:
        """The data pattern without the copy marker."""
        return self.pattern.removesuffix(COPIED)

    def to_wire(self) -> dict[str, Any]:
        return {"log2Size": self.log2_size, "dtype": self.dtype, "pattern": self.pattern}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Context:
        return cls(wire["log2Size"], wire["dtype"], wire["pattern"])

    @property
    def hash(self) -> str:
        """`contextHash`: 16 hex digits of exactly these three coarse fields."""
        return short_hash(self.to_wire(), 16)


@dataclass(frozen=True, slots=True, order=True)
class Environment:
    """One coarse browser cell. Never the raw user agent."""

    browser: str
    version: int
    os: str
    simd: bool
    relaxed_simd: bool
    threads: bool
    cores: str
    arch: str = UNKNOWN

    def to_wire(self) -> dict[str, Any]:
        """The fields as JSON-able values. An unknown architecture is left out, as it was before there was the
        field: so hashes of what was stored then still hold."""
        known = {} if self.arch == UNKNOWN else {"arch": self.arch}
        return {
            "browser": self.browser,
            "version": self.version,
            "os": self.os,
            "simd": self.simd,
            "relaxedSimd": self.relaxed_simd,
            "threads": self.threads,
            "cores": self.cores,
            **known,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Environment:
        return cls(
            wire["browser"],
            wire["version"],
            wire["os"],
            wire["simd"],
            wire["relaxedSimd"],
            wire["threads"],
            wire["cores"],
            wire.get("arch", UNKNOWN),
        )

    @property
    def any_arch(self) -> Environment:
        """The same kind of browser on whatever architecture."""
        return self if self.arch == UNKNOWN else replace(self, arch=UNKNOWN)

    @property
    def fingerprint(self) -> str:
        """`browserFingerprint`: 16 hex digits of exactly these fields: a kind of browser, not a person."""
        return short_hash(self.to_wire(), 16)

    @property
    def features(self) -> frozenset[str]:
        """The WebAssembly features that modules may need, as named in the manifest's bundles."""
        present = (("simd", self.simd), ("relaxedSimd", self.relaxed_simd), ("threads", self.threads))
        return frozenset(name for name, supported in present if supported)
