"""Structured logs: one JSON object a line on stderr; no address, nor anything else that a request held."""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


class JsonFormatter(logging.Formatter):
    """time, level, logger, event, and whatever `extra` holds.

    An exception that reaches a log is one that nobody foresaw, and its message may quote what came in (an
    address, a body): it is written as its types and the places in the code, without messages.
    """

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            # asyncio goes on in further lines, with the exception's message.
            "event": record.getMessage().partition("\n")[0] if record.exc_info else record.getMessage(),
        }
        entry |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info and record.exc_info[1] is not None:
            entry["exception"] = list(_told(record.exc_info[1]))
        return json.dumps(entry, default=str)


def _told(error: BaseException) -> Iterator[str]:
    """Types and places of an exception, innermost call last, then of what caused it."""
    seen: set[int] = set()
    chain: BaseException | None = error
    while chain is not None and id(chain) not in seen:
        seen.add(id(chain))
        yield f"{type(chain).__module__}.{type(chain).__qualname__}"
        for frame, line in traceback.walk_tb(chain.__traceback__):
            yield f"  {frame.f_code.co_filename}:{line} {frame.f_code.co_qualname}"
        if isinstance(chain, BaseExceptionGroup):
            for part in chain.exceptions:
                yield from _told(part)
        chain = chain.__cause__ or chain.__context__


def configure() -> None:
    """Send every log of this process to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    # These announce process ids, sockets and peers' addresses.
    for name in ("uvicorn.access", "websockets", "httpx", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("asyncpg").setLevel(logging.ERROR)  # tells of every attempt; we, once
    # This one tells of each malformed request and message: strangers could fill the disk.
    errors = logging.getLogger("uvicorn.error")
    errors.setLevel(logging.ERROR)
    errors.addFilter(lambda record: not record.getMessage().startswith("Invalid UTF-8"))


class Condition:
    """Something that stays wrong for a while: told when it begins and once an hour, not each time it is met.

    One that comes and goes, or changes its reason back and forth, is told at most once a minute per reason.
    """

    HOUR, MINUTE = 3600.0, 60.0

    def __init__(self, log: logging.Logger, event: str, now: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._event = event
        self._now = now
        self._told: dict[str, float] = {}  # reason: when it was told last
        self._since: str | None = None  # the reason that holds now
        self._open = False  # told, and its end not yet

    def holds(self, reason: str, level: int = logging.ERROR) -> None:
        """It is so, for this reason."""
        quiet = self.HOUR if reason == self._since else self.MINUTE
        self._since = reason
        if self._now() - self._told.get(reason, -quiet) < quiet:
            return
        if len(self._told) > 100:
            self._told.clear()
        self._told[reason] = self._now()
        self._open = True
        self._log.log(level, self._event, extra={"reason": reason})

    def ended(self, event: str) -> None:
        """It is no more."""
        self._since = None
        if self._open:
            self._open = False
            self._log.info(event)
