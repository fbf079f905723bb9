"""`python -m fleetune_research COMMAND`: the commands behind the published figures."""

from __future__ import annotations

from collections.abc import Sequence

from fleetune_server import cli

COMMANDS = {
    "audit": ("fleetune_research.commands.audit", "check the privacy claim on a million packets"),
    "client": ("fleetune_research.commands.client", "send reports as from many browsers, without browsers"),
    "drift": ("fleetune_research.commands.drift", "how many reports it takes to change its mind"),
    "evaluate": ("fleetune_research.commands.evaluate", "the model against measured truth and baselines"),
    "job": ("fleetune_research.commands.job", "how many reports a job for choose() needs"),
    "lab": ("fleetune_research.commands.lab", "report what the lab measurements say"),
    "learners": ("fleetune_research.commands.learners", "learners compared on kernels left out"),
    "simulate": ("fleetune_research.commands.simulate", "the network effect on a simulated fleet"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, 1 (it failed), or 2 (wrong use)."""
    return cli.main(argv, COMMANDS, "python -m fleetune_research", "Evaluation and simulation.")


if __name__ == "__main__":
    raise SystemExit(main())
