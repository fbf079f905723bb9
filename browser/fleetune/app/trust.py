"""Which keys this browser trusts for its server: remembered at the first visit, changed only by the chain of roots.

The first visit takes the server's word, as there is nothing to compare with. From then on a root counts only if the
one before has signed it, and no root is ever replaced by an older one.
"""

from __future__ import annotations

from fleetune.app.platform import NetworkError, Platform, PlatformError
from fleetune.root import (
    MAX_STEPS,
    Document,
    Root,
    check_root_time,
    parse_root,
    read_root,
    verify_root,
)
from fleetune.signed import SignedError

ROOT = "root"  # store key and lock name
# What only a visitor can decide: the server is another one, or its operator has lost the keys.
RESET = "; if its operator says that the keys were lost, clear this site's data here to trust the new ones"


async def remembered(platform: Platform) -> Root | None:
    """The root of earlier visits; None if there was none. SignedError("root-form") if it is damaged."""
    kept = await platform.store.get(ROOT)
    return None if kept is None else read_root(kept)


async def follow(platform: Platform, offered: object) -> Root:
    """The root to trust now that the server offers this document; it is remembered.

    SignedError if it does not follow from the remembered root, is older, or has expired. `offered` may be None, from a
    server of an earlier release: then the remembered root stays.
    """
    async with platform.store.lock(ROOT):
        root = await remembered(platform)
        if offered is None:
            if root is None:
                raise SignedError("keys", "no signing keys are known, so no model can be trusted")
        else:
            root = await _to(platform, root, offered)
        check_root_time(root, platform.now())
        return root


async def _to(platform: Platform, root: Root | None, offered: object) -> Root:
    """The offered root, reached from the remembered one through every root between."""
    newest = read_root(offered)
    if root is None:
        root = await verify_root(offered, None, platform.ed25519_verify)
        check_root_time(root, platform.now())
        await _keep(platform, offered)
        return root
    if newest.version == root.version:
        if newest != root:
            raise SignedError("root-keys", f"the server shows other keys than at your earlier visits{RESET}")
        return root
    if newest.version < root.version:
        raise SignedError("root-rollback", f"the server shows older keys than at your earlier visits{RESET}")
    if newest.version - root.version > MAX_STEPS:
        raise SignedError("root-skipped", f"the server's keys changed {MAX_STEPS:,} times at once{RESET}")
    while root.version < newest.version:
        step = root.version + 1
        document = offered if step == newest.version else await _fetch(platform, step)
        try:
            root = await verify_root(document, root, platform.ed25519_verify)
        except SignedError as error:
            raise SignedError(error.reason, f"{error}{RESET}") from error
        await _keep(platform, document)
    return root


async def _fetch(platform: Platform, version: int) -> object:
    response = await platform.fetch("GET", f"/roots/{version}")
    if response.status == 404:
        raise SignedError(
            "root-skipped", f"the server lacks root {version}, which leads to its newest{RESET}"
        )
    if response.status != 200:
        raise NetworkError(f"the server answered {response.status} instead of a root; try again later")
    return parse_root(response.body)


async def _keep(platform: Platform, document: object) -> None:
    try:
        await platform.store.set(ROOT, document)
    except PlatformError as error:  # full or forbidden: then every visit is a first one
        platform.emit("log", {"level": "warning", "text": f"the server's keys cannot be remembered: {error}"})


async def ask(platform: Platform) -> Document | None:
    """The newest root that the server offers now; None if it offers none."""
    response = await platform.fetch("GET", "/roots/newest")
    if response.status != 200:
        return None
    document = parse_root(response.body)
    return document if isinstance(document, dict) else None
