"""What the assets report: rows, seconds, versions and previews, as metadata per run and per day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import dagster as dg
import pyarrow.compute as pc

from dagster_project.partitions import FIRST_DAY
from dagster_project.previews import PREVIEW_ROWS, markdown_table
from dagster_project.same_run import LAKE_ROWS, RUN_IDS
from pipeline.export.run import ExportResult
from pipeline.lake.table import Lake, LakeSnapshot
from pipeline.refresh.run import RefreshResult
from pipeline.rollups.publish import PublishedRollup
from pipeline.rollups.staging import StagedRollup

ROW_COUNT = "dagster/row_count"
Metadata = dict[str, Any]


def exported_metadata(exported: ExportResult, beyond: Sequence[date]) -> Metadata:
    """Describe an export as a whole; `beyond` are the days it touched without having been asked for them."""
    preview = [{"day": day, "new events": exported.rows_by_day[day]} for day in reversed(exported.days)]
    return {
        "rows_exported": exported.rows,
        "days_touched": len(exported.days),
        "days_touched_beyond": [day.isoformat() for day in beyond],
        "days_before_first_partition": sum(day < FIRST_DAY for day in beyond),
        "seconds": round(exported.seconds, 3),
        "preview": markdown_table(preview),
        **_lake_version(exported.lake_version),
    }


def events_of_day(exported: ExportResult, snapshot: LakeSnapshot | None, day: date) -> Metadata:
    """Describe one day of the lake: all its events, and those that this export added."""
    rows = 0 if snapshot is None else snapshot.rows(day, day)
    return {ROW_COUNT: rows, "rows_added": exported.rows_by_day.get(day, 0), **_lake_version(exported.lake_version)}


def computed_metadata(staged: Sequence[StagedRollup]) -> Metadata:
    """Describe computed, unpublished rollups; their run ids lead the checks and the publication to them."""
    newest = staged[-1].rows.filter(pc.field("day") == staged[-1].window.last)
    return {
        RUN_IDS: [str(rollup.run_id) for rollup in staged],
        "rows": sum(rollup.rows.num_rows for rollup in staged),
        "ignored_count": sum(rollup.ignored_count for rollup in staged),
        "seconds": round(sum(rollup.seconds for rollup in staged), 3),
        "preview": markdown_table(newest.slice(0, PREVIEW_ROWS).to_pylist()),
        **_lake_version(staged[-1].lake_version),
    }


def published_metadata(published: Sequence[PublishedRollup]) -> Metadata:
    """Describe what a publication wrote."""
    return {
        RUN_IDS: [str(rollup.run_id) for rollup in published],
        "rows_written": sum(rollup.rows_written for rollup in published),
        "ignored_count": sum(rollup.ignored_count for rollup in published),
        "seconds": round(sum(rollup.seconds for rollup in published), 3),
        **_lake_version(published[-1].lake_version),
    }


def published_days(staged: Sequence[StagedRollup], lake: Lake) -> Iterator[tuple[date, Metadata]]:
    """Describe each published day: its rows, and the number of events in the lake that they rest on."""
    for rollup in staged:
        snapshot = None if rollup.lake_version is None else lake.snapshot(rollup.lake_version)
        rows = Counter(rollup.rows.column("day").to_pylist())
        for day in rollup.window.days():
            events = 0 if snapshot is None else snapshot.rows(day, day)
            yield day, {ROW_COUNT: rows[day], LAKE_ROWS: events}


def refreshed_metadata(result: RefreshResult) -> Metadata:
    """Describe a refresh: what it exported, what it published, and where its time went."""
    return {
        RUN_IDS: [str(published.run_id) for published in result.published.values()],
        "rows_exported": result.exported_rows,
        "days_published": {job: len(days) for job, days in result.days.items()},
        "rows_written": sum(published.rows_written for published in result.published.values()),
        "users_state": f"rebuilt: {result.why_rebuilt}" if result.why_rebuilt else "advanced",
        **{f"{phase}_seconds": seconds for phase, seconds in result.seconds.items()},
        **_lake_version(result.lake_version),
    }


def refreshed_day(lake_rows: int, published: PublishedRollup | None, version: int | None) -> Metadata:
    """Describe a day that a refresh published, or with None a day of the lake: the events it rests on, and the run."""
    if published is None:
        return {ROW_COUNT: lake_rows, **_lake_version(version)}
    return {LAKE_ROWS: lake_rows, RUN_IDS: [str(published.run_id)], **_lake_version(version)}


def _lake_version(version: int | None) -> Metadata:
    return {} if version is None else {"lake_version": dg.MetadataValue.int(version)}
