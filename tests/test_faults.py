"""A few trials of each kind of `python -m tests.faults`; the full count is that command's."""

from __future__ import annotations

import errno
import logging
from pathlib import Path

import pytest
from tests.faults.disks import NoMountError, full, refusing
from tests.faults.kill import store_killed
from tests.faults.power import power
from tests.faults.publish import killed_publishing
from tests.faults.replicas import replica_killed
from tests.postgres import cluster

from fleetune_server.common.logs import Condition


def test_a_killed_store_keeps_what_it_acknowledged_and_counts_it_once(tmp_path: Path) -> None:
    assert store_killed(3, 1, tmp_path).clean


def test_a_killed_store_on_postgres_likewise(tmp_path: Path) -> None:
    with cluster() as database:
        assert store_killed(2, 1, tmp_path, database).clean


def test_a_power_cut_takes_nothing_acknowledged_and_would_without_the_sync(tmp_path: Path) -> None:
    verdict = power(10, 1, tmp_path)
    assert verdict.clean, verdict
    control = power(5, 1, tmp_path, "NORMAL")
    assert control.lost, "the cuts prove nothing if they never lose anything"


def test_a_server_killed_while_it_publishes_publishes_cleanly_at_its_next_start(tmp_path: Path) -> None:
    result = killed_publishing(1, 4, tmp_path)
    assert result["clean"], result


def test_a_replica_dies_its_clients_go_to_the_other_which_trains_on(tmp_path: Path) -> None:
    result = replica_killed(tmp_path)
    assert result["clean"], result


def test_a_full_disk_is_told_once_reads_go_on_and_it_recovers_by_itself(tmp_path: Path) -> None:
    try:
        result = full(tmp_path)
    except NoMountError:  # not root: the same by the preloaded library
        result = refusing(tmp_path, errno.ENOSPC, "full")
    assert result["clean"], result


def test_a_read_only_disk_likewise(tmp_path: Path) -> None:
    result = refusing(tmp_path, errno.EROFS, "")
    assert result["clean"], result


def test_a_condition_is_told_once_however_often_it_is_met(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    condition = Condition(logging.getLogger("test"), "it fails", lambda: now)
    with caplog.at_level(logging.INFO, "test"):
        for _ in range(1000):
            now += 0.01
            condition.holds("full")
        condition.ended("it works")
        assert caplog.messages == ["it fails", "it works"]
        for _ in range(1000):  # comes and goes
            now += 0.01
            condition.holds("full")
            condition.ended("it works")
        assert len(caplog.messages) == 2
        now += 60
        condition.holds("full")
        condition.holds("locked")
        condition.ended("it works")
        assert caplog.messages[2:] == ["it fails", "it fails", "it works"]
