"""Training in another process, so that the event loop never waits for it."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

A = TypeVar("A")
R = TypeVar("R")
NICENESS = 10  # requests come first


class TrainerDiedError(Exception):
    """The training process ended without an answer (killed, or out of memory)."""


class Trainer:
    """Spawned processes (a fork would copy the server's sockets and locks), started on first use."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    async def run(self, work: Callable[[A], R], request: A) -> R:
        """Run `work(request)` there; all three must be picklable. A dead pool is replaced next time."""
        if self._pool is None:
            for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
                os.environ.setdefault(name, "1")  # before numpy, which may come with the child's main module
            spawn = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.workers, mp_context=spawn, initializer=_prepare)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, request)
        except BrokenProcessPool as error:
            self.close()
            raise TrainerDiedError("the training process died") from error

    def close(self) -> None:
        """End the processes; a training under way is lost and will be done again."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        processes = list((pool._processes or {}).values())  # its shutdown() would wait for the training
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()


def _prepare() -> None:
    os.nice(NICENESS)
