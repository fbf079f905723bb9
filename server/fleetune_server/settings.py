"""The one table of settings: read once from the environment, then frozen."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fleetune.work import MAX_BITS

PREFIX = "FLEETUNE_"
# Read by the tests, the journeys and the lab recorder (e2e/README.md); nothing to the server.
TOOLS = frozenset(PREFIX + name for name in ("ENGINES", "CHROMIUM", "FIREFOX", "QUIET_LOCK", "TOKEN"))
ROOT = Path(__file__).resolve().parents[2]  # the checkout: browser/, server/, kernels_wasm/


class SettingsError(ValueError):
    """A setting that cannot be used; the message names its key."""


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError(f"must be between {low} and {high}")
        return value

    return parse


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1e9:
        raise ValueError("must be a number of seconds, 0 or more")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 0.5:
        raise ValueError("must be between 0 and 0.5")
    return value


def _origins(text: str) -> tuple[str, ...]:
    names = _names(text)
    for name in names:
        parts = urlsplit(name)
        if name != "*" and (
            parts.scheme not in ("http", "https") or name != f"{parts.scheme}://{parts.netloc}"
        ):
            raise ValueError("must be origins such as https://site.example, or *")
    return names


def _switch(text: str) -> bool:
    if text.lower() in ("1", "true", "on", "yes"):
        return True
    if text.lower() in ("0", "false", "off", "no", ""):
        return False
    raise ValueError("must be 1 or 0")


def _epsilons(text: str) -> tuple[float, ...]:
    values = tuple(float(part) for part in text.split(","))
    if not all(0 < value <= 8 for value in values):
        raise ValueError("must be numbers between 0 and 8, separated by commas")
    return values


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _is(parse: Callable[[str], Any], doc: str) -> dict[str, Any]:
    return {"parse": parse, "doc": doc}


@dataclass(frozen=True)
class Settings:
    """Everything an operator can set; each field is the environment variable FLEETUNE_<FIELD>."""

    host: str = field(default="127.0.0.1", metadata=_is(str, "Address to listen on."))
    port: int = field(
        default=8000, metadata=_is(_integer(0, 65535), "Port to listen on; 0 takes a free one.")
    )
    data: Path = field(
        default=ROOT / "data", metadata=_is(Path, "Folder of the server's own files: database, signing keys.")
    )
    store: str = field(
        default="",
        metadata=_is(str, "SQLite file or postgresql:// URL; empty: fleetune.db in the data folder."),
    )
    kernels: Path = field(
        default=ROOT / "kernels_wasm" / "dist", metadata=_is(Path, "Folder of the built kernels.")
    )
    lab: Path = field(
        default=ROOT / "kernels_wasm" / "lab", metadata=_is(Path, "Folder of the public lab measurements.")
    )
    retrain_packets: int = field(
        default=1000, metadata=_is(_integer(1, 10**9), "Retrain after this many new packets.")
    )
    retrain_seconds: float = field(
        default=3600.0, metadata=_is(_seconds, "Retrain after this time if any packet came; 0: never.")
    )
    hold_seconds: float = field(
        default=3600.0, metadata=_is(_seconds, "How long a packet can be withdrawn before it is folded.")
    )
    stale_days: int = field(
        default=2, metadata=_is(_integer(0, 60), "Oldest UTC day of a packet that is still accepted.")
    )
    retention_days: int = field(
        default=4,
        metadata=_is(_integer(1, 366), "How long nonces are kept against replay; more than the days above."),
    )
    keep_versions: int = field(
        default=8, metadata=_is(_integer(2, 1000), "Published model versions that stay downloadable.")
    )
    canary_share: float = field(
        default=0.1,
        metadata=_is(_share, "Share of sessions that try a new version before everyone gets it; 0: none."),
    )
    canary_clients: int = field(
        default=200,
        metadata=_is(
            _integer(0, 10**9), "Connected clients below which a new version goes to everyone at once."
        ),
    )
    canary_reports: int = field(
        default=100, metadata=_is(_integer(1, 10**9), "Reports by which a new version on trial is judged.")
    )
    canary_seconds: float = field(
        default=1800.0, metadata=_is(_seconds, "Longest trial of a new version before it is judged.")
    )
    push_origins: tuple[str, ...] = field(
        default=(),
        metadata=_is(
            _origins,
            "Origins of embedding pages that may open WebSockets, separated by commas; * for all.",
        ),
    )
    epsilons: tuple[float, ...] = field(
        default=(2.0, 1.0), metadata=_is(_epsilons, "Privacy levels accepted, default first.")
    )
    queue_packets: int = field(
        default=20_000,
        metadata=_is(
            _integer(100, 10**7), "Packets that may wait for the store before clients are asked to wait."
        ),
    )
    rate_packets: int = field(
        default=10_000,
        metadata=_is(
            _integer(0, 10**9), "Packets an hour from one address prefix (loopback is free); 0: no limit."
        ),
    )
    check_seconds: float = field(
        default=600.0,
        metadata=_is(_seconds, "Seconds between two checks of the SQLite file for damage; 0: none."),
    )
    work_bits: int = field(
        default=0,
        metadata=_is(
            _integer(0, MAX_BITS),
            "Proof of work that each report must bring: leading zero bits of a hash; 0: none.",
        ),
    )
    body_seconds: float = field(
        default=10.0, metadata=_is(_seconds, "Time a sender has for a whole request body.")
    )
    isolated: bool = field(
        default=True, metadata=_is(_switch, "Serve our own pages cross-origin isolated (finer timers).")
    )
    trusted_proxy: tuple[str, ...] = field(
        default=(),
        metadata=_is(_names, "Proxy addresses whose X-Forwarded-For is believed, separated by commas."),
    )
    dashboard: bool = field(
        default=True,
        metadata=_is(_switch, "Serve /dashboard and /api/metrics to everyone; they hold totals only."),
    )
    workers: int = field(default=1, metadata=_is(_integer(1, 64), "Processes that train models."))

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read every FLEETUNE_… variable; an unknown or unusable one raises SettingsError naming it."""
        fields = {PREFIX + entry.name.upper(): entry for entry in dataclasses.fields(cls)}
        unknown = sorted(key for key in environ if key.startswith(PREFIX) and key not in {*fields, *TOOLS})
        if unknown:
            raise SettingsError(f"{unknown[0]}: no such setting; `fleetune settings` lists them")
        values: dict[str, Any] = {}
        for key, entry in fields.items():
            if key in environ:
                try:
                    values[entry.name] = entry.metadata["parse"](environ[key])
                except ValueError as error:
                    raise SettingsError(f"{key}={environ[key]!r}: {error}") from error
        settings = cls(**values)
        if settings.retention_days <= settings.stale_days:
            raise SettingsError(f"{PREFIX}RETENTION_DAYS must exceed {PREFIX}STALE_DAYS")
        return settings

    @property
    def store_url(self) -> str:
        """Where packets are kept: a postgresql:// URL, or the path of an SQLite file."""
        return self.store or str(self.data / "fleetune.db")


def table() -> Iterator[tuple[str, str, str]]:
    """(environment variable, default, meaning) of every setting, in order."""
    for entry in dataclasses.fields(Settings):
        default = entry.default
        if isinstance(default, bool):
            text = str(int(default))
        elif isinstance(default, tuple):
            text = ",".join(f"{value:g}" if isinstance(value, float) else str(value) for value in default)
        elif isinstance(default, Path):
            text = str(default.relative_to(ROOT))
        else:
            text = f"{default:g}" if isinstance(default, float) else str(default)
        yield PREFIX + entry.name.upper(), text, entry.metadata["doc"]
