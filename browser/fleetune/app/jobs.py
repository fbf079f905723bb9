"""What a page's choose() timed of a job, taken in so that reports are made of it as of kernels."""

from __future__ import annotations

import math
from typing import Any

from fleetune.app.session import Args, Operation, RequestError, Session
from fleetune.context import Context
from fleetune.manifest import BASELINE, Kernel
from fleetune.stats import Timed

SPREAD = 0.03  # choose() calls no smaller difference a difference (web/embed/measure.js)


async def timed_job(session: Session, args: Args) -> dict[str, Any]:
    """Take in {job, signature, cells: [{pattern, size, times: {candidate: ms a call}}]}; the reference is `js`.

    {"taken"}: how many contexts fit the description. RequestError if the server has no such job.
    """
    job = session.manifest.jobs.get(args["job"])
    if job is None or job.signature != args["signature"]:
        raise RequestError(f"this server has no job {args['job']!r} of that description")
    taken = 0
    for cell in args["cells"]:
        context = _context(job, cell["size"], cell["pattern"])
        times = {
            name: float(ms) for name, ms in cell["times"].items() if name in job.variants or name == BASELINE
        }
        if (
            context is None
            or len(times) < 2
            or not all(math.isfinite(ms) and ms > 0 for ms in times.values())
        ):
            continue
        reference = times.get(BASELINE)
        if reference is None:
            continue
        session.measured[job.name, context] = {name: _timed(ms, reference) for name, ms in times.items()}
        taken += 1
    if taken:
        await session.remember()
    return {"taken": taken}


def _context(job: Kernel, size: int, pattern: str) -> Context | None:
    """The registered context of a measured size: none beyond the range that the job is described in."""
    if type(size) is not int or pattern not in job.patterns or not job.sizes[0] <= size <= job.sizes[-1]:
        return None
    return Context.of(size, job.dtype, pattern, copied=False)


def _timed(ms: float, reference: float) -> Timed:
    speedup = reference / ms
    return Timed(ms, SPREAD, speedup, speedup / (1 + SPREAD), speedup * (1 + SPREAD))


OPS: dict[str, Operation] = {"timed_job": timed_job}
