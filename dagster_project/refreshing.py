"""The refresh: one run that exports what is new and computes exactly the days whose numbers can have changed.

Its days are known only once it has looked, so it is a job of its own rather than a range of the assets; what it
published is reported as materializations of theirs, day by day.
No postponed annotations here: Dagster reads the annotation of `context` as it stands.
"""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

import dagster as dg

from dagster_project.assets import PUBLISHED, events
from dagster_project.partitions import DAYS
from dagster_project.reports import refreshed_day, refreshed_metadata
from dagster_project.resources import Deployment
from pipeline.lake.table import Lake
from pipeline.refresh.run import RefreshBusyError, RefreshResult
from pipeline.refresh.run import refresh as refresh_published_days
from pipeline.rollups.jobs import JOBS, job_named

TABLES = {job_named(job).table: asset for job, asset in zip(JOBS, PUBLISHED, strict=True)}


@dg.op(
    name="export_and_publish_stale_days", description="Export what is new, then compute and publish what it changes."
)
def export_and_publish_stale_days(context: dg.OpExecutionContext, deployment: Deployment) -> None:
    """Refresh, and report the days that were published; nothing is done when another refresh is under way."""
    try:
        result = refresh_published_days(
            deployment.settings(), deployment.database_url, deployment.now(), wait=False, say=context.log.info
        )
    except RefreshBusyError as error:
        context.log.info(str(error))
        return
    for materialization in materializations(result, deployment.lake()):
        context.log_event(materialization)
    context.add_output_metadata(refreshed_metadata(result))


@dg.job(name="refresh", description="Export what is new; compute, check and publish exactly the days it changes.")
def refresh() -> None:
    """The job of one step."""
    export_and_publish_stale_days()


def materializations(result: RefreshResult, lake: Lake) -> Iterator[dg.AssetMaterialization]:
    """Yield one for each table and day that was published, and one for each of these days in the lake.

    Days before the lake's first are left out: to record that half a year before the first event was published as zeros
    would take longer than the refresh.
    """
    snapshot = None if result.lake_version is None else lake.snapshot(result.lake_version)
    if snapshot is None or not snapshot.files:
        return
    first = snapshot.files[0].day
    for day in _partitions(day for days in result.days.values() for day in days if day >= first):
        rows = snapshot.rows(day, day)
        yield _materialization(events.key, day, refreshed_day(rows, None, result.lake_version))
        for job, published in result.published.items():
            if day in result.days[job]:
                key = TABLES[job_named(job).table].key
                yield _materialization(key, day, refreshed_day(rows, published, published.lake_version))


def _partitions(days: Iterable[date]) -> list[date]:
    """Return those days that are partitions, ascending and without repetition."""
    return sorted({day for day in days if DAYS.has_partition_key(day.isoformat())})


def _materialization(key: dg.AssetKey, day: date, metadata: dict[str, Any]) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(key, partition=day.isoformat(), metadata=metadata)
