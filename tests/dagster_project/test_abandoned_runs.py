"""Runs whose process is gone are marked as failed, and no others."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import dagster as dg
import pytest

from dagster_project.abandoned_runs import abandoned_runs, fail_abandoned_runs
from tests.waiting import wait_until

DAY = 86_400


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


def begin_run(instance: dg.DagsterInstance, pid: int, seconds_ago: float = 0) -> str:
    """A run that the process `pid` began, as its own event says."""
    run = instance.create_run_for_job(dg.GraphDefinition(name="run").to_job(), status=dg.DagsterRunStatus.STARTING)
    start = dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, job_name=run.job_name, pid=pid)
    instance.report_dagster_event(start, run.run_id, timestamp=time.time() - seconds_ago)
    assert status(instance, run.run_id) == dg.DagsterRunStatus.STARTED
    return run.run_id


def status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


@pytest.fixture
def living() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as process:
        yield process
        process.kill()


def test_a_run_whose_process_lives_goes_on(instance: dg.DagsterInstance, living: subprocess.Popen[bytes]) -> None:
    run_id = begin_run(instance, living.pid)
    assert fail_abandoned_runs(instance) == []
    assert status(instance, run_id) == dg.DagsterRunStatus.STARTED


def test_a_run_whose_process_was_killed_fails_at_once_even_if_nobody_has_collected_it(
    instance: dg.DagsterInstance, living: subprocess.Popen[bytes]
) -> None:
    run_id = begin_run(instance, living.pid)
    living.kill()
    wait_until(lambda: fail_abandoned_runs(instance) == [run_id], "the run failed")
    assert status(instance, run_id) == dg.DagsterRunStatus.FAILURE
    assert f"Its process ({living.pid}) is gone" in instance.all_logs(run_id)[-1].message


def test_a_process_that_took_over_the_number_after_a_restart_does_not_count(
    instance: dg.DagsterInstance, living: subprocess.Popen[bytes]
) -> None:
    run_id = begin_run(instance, living.pid, seconds_ago=DAY)
    assert fail_abandoned_runs(instance) == [run_id]


def test_the_sensor_says_what_it_did_and_asks_for_nothing(
    instance: dg.DagsterInstance, living: subprocess.Popen[bytes]
) -> None:
    run_id = begin_run(instance, living.pid, seconds_ago=DAY)
    for message in (f"Marked as failed: {run_id}", "Every run in progress has its process."):
        tick = abandoned_runs(dg.build_sensor_context(instance=instance))
        assert isinstance(tick, dg.SkipReason)
        assert tick.skip_message == message
