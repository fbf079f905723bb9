"""Files that only the server's own user may read: replaced whole, and kept once the call returns."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write(path: Path, content: bytes) -> None:
    """Replace `path`, making its folder if need be; durable when this returns."""
    with replaced(path) as draft:
        draft.write_bytes(content)


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A private, empty file to fill; it takes the place of `path`, durably, once the block ends well."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)  # of an earlier process of this number that died here
    # Born private: there is no moment at which others could read it.
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        yield draft
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Names, too, must outlast a power cut."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
