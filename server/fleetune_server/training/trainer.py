"""Training in another process, so that the event loop never waits for it, and what is told of how it goes."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:  # it brings numpy, and the process is to be nice before that
    from fleetune_server.training.doubts import Suspicion

A = TypeVar("A")
R = TypeVar("R")
NICENESS = 10  # requests come first
STUCK = 3  # refusals in a row that an operator should hear of


class TrainerDiedError(Exception):
    """The training process ended without an answer (killed, or out of memory)."""


class Trainer:
    """One spawned process (a fork would copy the server's sockets and locks), started on first use."""

    def __init__(self) -> None:
        self._spawn = multiprocessing.get_context("spawn")
        self._process: Any = None
        self._pipe: Any = None
        self._turn = asyncio.Lock()

    async def run(self, work: Callable[[A], R], request: A) -> R:
        """Run `work(request)` there; all three must be picklable. A dead process is replaced next time."""
        async with self._turn:
            if self._process is None:
                self._start()
            try:
                answer: R | Exception = await asyncio.to_thread(_ask, self._pipe, work, request)
            except (EOFError, OSError) as error:
                self.close()
                raise TrainerDiedError("the training process died") from error
            except BaseException:  # nobody waits for its answer any more
                self.close()
                raise
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """End the process; a training under way is lost and will be done again."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()

    def _start(self) -> None:
        for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
            os.environ.setdefault(name, "1")  # before numpy, which may come with the child's main module
        self._pipe, theirs = self._spawn.Pipe()
        self._process = self._spawn.Process(target=_serve, args=(theirs,), name="trainer", daemon=True)
        self._process.start()
        theirs.close()


def _ask(pipe: Connection[Any, Any], work: Callable[[Any], Any], request: object) -> Any:
    pipe.send((work, request))
    return pipe.recv()


def _serve(pipe: Connection[Any, Any]) -> None:
    os.nice(NICENESS)
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    with contextlib.suppress(EOFError):
        while True:
            work, request = pipe.recv()
            try:
                answer = work(request)
            except Exception as error:
                answer = error
            pipe.send(answer)


def _end_with_the_server() -> None:
    """A server that was killed cannot end its trainer."""
    server = multiprocessing.parent_process()
    assert server is not None
    server.join()
    os._exit(1)


@dataclass
class Progress:
    """What the dashboard says about learning."""

    state: str = "waiting"  # waiting, training, publishing
    reports: int = 0  # reports that count for training
    trained_reports: int = 0  # of which the last training saw
    trained_at: float = 0.0  # unix seconds
    outcome: str = ""
    reasons: tuple[str, ...] = ()
    refused: int = 0  # trainings in a row that the gate refused
    suspicious: int = 0  # places whose reports the last training did not believe
    held_back: int = 0  # cells that it moved as far as one version may

    @property
    def fresh(self) -> int:
        """Reports that no training has seen."""
        return max(0, self.reports - self.trained_reports)

    def record(self, suspicions: Sequence[Suspicion]) -> dict[str, Any]:
        """What the last training has seen and doubted, as JSON for the store."""
        self.suspicious = len(suspicions)
        return {
            "reports": self.trained_reports,
            "at": self.trained_at,
            "refused": self.refused,
            "suspicions": [asdict(place) for place in suspicions],
            "heldBack": self.held_back,
        }

    def recall(self, seen: Mapping[str, Any]) -> None:
        """Take over such a record, also of an earlier release or another replica."""
        self.trained_reports, self.trained_at = seen["reports"], seen["at"]
        self.refused = seen.get("refused", 0)
        self.suspicious = len(seen.get("suspicions", ()))
        self.held_back = seen.get("heldBack", 0)
