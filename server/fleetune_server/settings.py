"""The one table of settings: read once from the environment, then frozen."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints
from urllib.parse import urlsplit

import msgspec
import platformdirs
from msgspec import Meta

from fleetune.work import MAX_BITS

PREFIX = "FLEETUNE_"
# Read by the tests, the journeys and the lab recorder (e2e/README.md); nothing to the server.
TOOLS = frozenset(PREFIX + name for name in ("ENGINES", "CHROMIUM", "FIREFOX", "QUIET_LOCK", "TOKEN"))
_CHECKOUT = Path(__file__).resolve().parents[2]
IN_CHECKOUT = (_CHECKOUT / "kernels_wasm" / "variants.toml").is_file()
# What is served is below browser/ and kernels_wasm/ here: in a checkout, or in the part that a wheel carries.
ROOT = _CHECKOUT if IN_CHECKOUT else Path(__file__).resolve().parent / "bundle"
DATA = ROOT / "data" if IN_CHECKOUT else platformdirs.user_data_path("fleetune", appauthor=False)
# Settings of earlier versions, and what to do about them.
FORMER = {
    **{f"CANARY_{name}": f"it is FLEETUNE_ROLLOUT_{name} now" for name in ("SHARE", "CLIENTS")},
    **dict.fromkeys(
        (
            "CANARY_REPORTS",
            "CANARY_SECONDS",
            "STALE_DAYS",
            "RETENTION_DAYS",
            "KEEP_VERSIONS",
            "QUEUE_PACKETS",
        ),
        "it is fixed now: remove it",
    ),
    **dict.fromkeys(("CHECK_SECONDS", "BODY_SECONDS", "KERNELS", "LAB"), "it is fixed now: remove it"),
    "EPSILONS": "the pages offer 2 and 1, and nothing else is accepted: remove it",
    "WORKERS": "training always has one process: remove it",
}

Count = Annotated[int, Meta(ge=0, le=10**9)]
Seconds = Annotated[float, Meta(ge=0, lt=1e9)]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
WIDEST = {4: 8, 6: 7}  # least prefix length of a proxies' network: 10.0.0.0/8, fc00::/7
MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")  # IPv4 as an IPv6 socket shows it


class SettingsError(ValueError):
    """A setting that cannot be used; the message names its key."""


@dataclass(frozen=True)
class Settings:
    """How a server runs. A field with a description is the environment variable FLEETUNE_<FIELD>."""

    host: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")] = 8000
    data: Annotated[Path, Meta(description="Folder of the server's own files: database, signing keys.")] = (
        DATA
    )
    store: Annotated[
        str,
        Meta(description="SQLite file or postgresql:// URL; empty: fleetune.db in the data folder."),
    ] = ""
    retrain_packets: Annotated[
        int, Meta(ge=1, le=10**9, description="Retrain after this many new packets.")
    ] = 1000
    retrain_seconds: Annotated[
        Seconds, Meta(description="Retrain after this time if any packet came; 0: never.")
    ] = 3600.0
    hold_seconds: Annotated[
        Seconds, Meta(description="How long a packet can be withdrawn before it is folded.")
    ] = 3600.0
    rollout_share: Annotated[
        float,
        Meta(ge=0, le=0.5, description="Share of sessions that try a new version before everyone gets it."),
    ] = 0.1
    rollout_clients: Annotated[
        Count, Meta(description="Connected clients below which a new version goes to everyone at once.")
    ] = 200
    push_origins: Annotated[
        tuple[str, ...],
        Meta(description="Origins of embedding pages that may open WebSockets, with commas; * for all."),
    ] = ()
    rate_packets: Annotated[
        Count,
        Meta(
            description="Packets an hour from one address prefix, a hundredth of them about one kernel in one browser "
            "(loopback is free); 0: no limit."
        ),
    ] = 2_000
    work_bits: Annotated[
        int,
        Meta(
            ge=0,
            le=MAX_BITS,
            description="Proof of work that each report must bring at least: leading zero bits of a hash; "
            "0: none but where a place is flooded.",
        ),
    ] = 0
    trusted_proxy: Annotated[
        tuple[str, ...],
        Meta(description="Addresses or networks of proxies whose X-Forwarded-For is believed, with commas."),
    ] = ()
    contact: Annotated[
        str,
        Meta(description="Address for security problems in /.well-known/security.txt, https: or mailto:."),
    ] = ""
    operator: Annotated[
        str,
        Meta(
            max_length=200,
            description="Who runs this server, as /privacy names them: Example Ltd, privacy@example.org.",
        ),
    ] = ""
    dashboard: Annotated[
        bool,
        Meta(
            description="Serve /dashboard, /functions, /regressions, /data/ and /api/metrics to everyone: totals only."
        ),
    ] = True
    isolated: Annotated[
        bool, Meta(description="Serve our own pages cross-origin isolated (finer timers).")
    ] = True

    # No operator needs to change what follows; tests do.
    kernels: Path = ROOT / "kernels_wasm" / "dist"  # the built catalogue
    lab: Path = ROOT / "kernels_wasm" / "lab"  # the public measurements
    rollout_reports: int = 100  # by which a version in trial is judged
    rollout_seconds: float = 1800.0  # longest trial
    stale_days: int = 2  # oldest UTC day of a packet that is still accepted
    retention_days: int = 4  # how long nonces are kept against replay: longer than packets are accepted
    keep_versions: int = 8  # published versions that stay downloadable
    queue_packets: int = 20_000  # that may wait for the store before clients are asked to wait
    check_seconds: float = 600.0  # between two checks of the SQLite file for damage; 0: none
    new_keys: bool = False  # make a signing key although versions were signed by others
    body_seconds: float = 10.0  # a sender's time for a whole request body

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read every FLEETUNE_… variable; an unknown or unusable one raises SettingsError naming it."""
        settings = cls()
        fields = dict(_documented())
        for key in sorted(key for key in environ if key.startswith(PREFIX) and key not in TOOLS):
            name = key.removeprefix(PREFIX)
            if name in FORMER:
                raise SettingsError(f"{key}: {FORMER[name]}")
            if name.lower() not in fields:
                raise SettingsError(f"{key}: no such setting; `fleetune settings` lists them")
            try:
                value = _parse(environ[key], fields[name.lower()])
                _check(name.lower(), value)
            except (msgspec.ValidationError, ValueError) as error:
                raise SettingsError(f"{key}={environ[key]!r}: {error}") from error
            settings = dataclasses.replace(settings, **{name.lower(): value})
        return settings

    @property
    def store_url(self) -> str:
        """Where packets are kept: a postgresql:// URL, or the path of an SQLite file."""
        return self.store or str(self.data / "fleetune.db")

    @property
    def store_shown(self) -> str:
        """`store_url` without its password, for logs and people."""
        return masked(self.store_url)


def masked(url: str) -> str:
    """A URL without the password that it may hold."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)


def proxy_networks(listed: Iterable[str]) -> tuple[Network, ...]:
    """FLEETUNE_TRUSTED_PROXY as networks, IPv4-mapped ones as IPv4; ValueError with the remedy."""
    return tuple(map(_proxy_network, listed))


def _proxy_network(text: str) -> Network:
    try:
        network: Network = ipaddress.ip_network(text)
    except ValueError as error:
        remedy = "give addresses or networks such as 127.0.0.1, ::1 or 10.1.0.0/16, not names"
        raise ValueError(f"{error}: {remedy}") from None
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(MAPPED):
        mapped = network.network_address.ipv4_mapped
        assert mapped is not None
        network = ipaddress.IPv4Network((mapped, network.prefixlen - MAPPED.prefixlen))
    if network.prefixlen < WIDEST[network.version] or network.network_address.is_unspecified:
        raise ValueError(
            f"{text} holds addresses of strangers, who could claim any sender: name your proxies only"
        )
    return network


def table() -> Iterator[tuple[str, str, str]]:
    """(environment variable, default, meaning) of every setting, in order."""
    for name, kind in _documented():
        value = getattr(Settings, name)
        if isinstance(value, bool):
            value = int(value)
        elif isinstance(value, tuple):
            value = ",".join(value)
        elif isinstance(value, Path):
            value = value.relative_to(ROOT) if value.is_relative_to(ROOT) else value
        elif isinstance(value, float):
            value = f"{value:g}"
        yield PREFIX + name.upper(), str(value), _description(kind)


def _documented() -> Iterator[tuple[str, Any]]:
    """The fields that are environment variables, with their annotated types."""
    hints = get_type_hints(Settings, include_extras=True)
    return ((name, kind) for name, kind in hints.items() if _description(kind))


def _description(kind: Any) -> str:
    notes = [note for note in getattr(kind, "__metadata__", ()) if isinstance(note, Meta)]
    return next((note.description for note in notes if note.description), "")


def _parse(text: str, kind: Any) -> Any:
    default = kind.__origin__
    if default is Path:
        return Path(text)
    if default is bool:
        text = {"on": "1", "yes": "1", "off": "0", "no": "0", "": "0"}.get(text.lower(), text)
    value: Any = text
    if default not in (str, bool, int, float):  # a list
        value = [part.strip() for part in text.split(",") if part.strip()]
    return msgspec.convert(value, kind, strict=False)


def _check(name: str, value: Any) -> None:
    """What a type cannot say."""
    if isinstance(value, float) and value != value:
        raise ValueError("must be a number")
    if name == "contact" and value and not re.fullmatch(r"(https://|mailto:)[!-~]+", value):
        raise ValueError("must be an address such as https://site.example/contact or mailto:me@site.example")
    if name == "trusted_proxy":
        proxy_networks(value)
    if name == "push_origins":
        for origin in value:
            parts = urlsplit(origin)
            if origin != "*" and (
                parts.scheme not in ("http", "https") or origin != f"{parts.scheme}://{parts.netloc}"
            ):
                raise ValueError("must be origins such as https://site.example, or *")
