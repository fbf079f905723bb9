"""What must hold before any test imports anything, and in which order they run."""

import os

import pytest

# One thread a worker. Else scikit-learn counts the physical cores, and warns where the system does not tell.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from fleetune_server import pipeline

# What installs wheels or starts many servers comes first, so that no worker is left with it at the end.
LONGEST = (
    "test_wheel",
    "test_rolling",
    "test_attacks",
    "test_faults",
    "test_alerts",
    "test_upgrade",
    "test_client",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server in this process looks ten times as often at what others stored: tests wait for it again and again."""
    monkeypatch.setattr(pipeline, "LOOK_SECONDS", pipeline.LOOK_SECONDS / 10)
