"""Runs whose process is gone: killed, out of memory, or lost with the machine.

Dagster notices only when the code server that started the run still watches it. Any other run would stay in progress
for ever, hold the one place for runs, and keep the nightly run waiting behind it.
"""

from __future__ import annotations

import dagster as dg
import psutil

GONE = "Its process ({pid}) is gone: it was killed, or the machine went down. Its days can be materialized again."
SECONDS_BETWEEN_LOOKS = 30
CLOCK_TOLERANCE_SECONDS = 5  # the system knows when a process began to the second only, and clocks get adjusted


@dg.sensor(
    name="abandoned_runs",
    minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Marks runs whose process is gone as failed, so that others need not wait for them.",
)
def abandoned_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Look at the runs in progress; it starts none."""
    failed = fail_abandoned_runs(context.instance)
    return dg.SkipReason(
        f"Marked as failed: {', '.join(failed)}" if failed else "Every run in progress has its process."
    )


def fail_abandoned_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark every started run whose process is gone as failed, and return the ids of those runs.

    Processes are looked for on this machine, where all runs of an installation are.
    """
    failed = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        run_id, pid = record.dagster_run.run_id, _process_of(instance, record.dagster_run.run_id)
        if pid is None or record.start_time is None or _lives(pid, since=record.start_time):
            continue
        run = instance.get_run_by_id(run_id)  # again: it may have ended, and its process with it, while we looked
        if run is not None and run.status == dg.DagsterRunStatus.STARTED:
            instance.report_run_failed(run, GONE.format(pid=pid))
            failed.append(run_id)
    return failed


def _process_of(instance: dg.DagsterInstance, run_id: str) -> int | None:
    """Return the process that started the run's steps; all steps run in it."""
    starts = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.RUN_START).records
    event = starts[-1].event_log_entry.dagster_event if starts else None
    return None if event is None else event.pid


def _lives(pid: int, since: float) -> bool:
    """Say whether the process that had this id at the time `since` (seconds of the epoch) still runs."""
    try:
        process = psutil.Process(pid)
        began: float = process.create_time()
        return process.status() != psutil.STATUS_ZOMBIE and began <= since + CLOCK_TOLERANCE_SECONDS
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # somebody else's, but there
        return True
