"""What starts by itself: the nightly run, and a run for days whose events arrived late.

Both are on by default, both ask for one range run of all assets, and neither computes anything.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, timedelta

import dagster as dg

from dagster_project.assets import PUBLISHED
from dagster_project.partitions import FIRST_DAY, range_tags
from dagster_project.resources import Deployment
from dagster_project.same_run import LAKE_ROWS
from pipeline.jobs import DEFAULT_WINDOW_DAYS, LONGEST_FOLLOW_UP, MAXIMUM_WINDOW_DAYS
from pipeline.lake import LakeSnapshot

NIGHTLY_DAYS = DEFAULT_WINDOW_DAYS
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
HISTORY_LIMIT = 2_000

refresh = dg.define_asset_job(
    "refresh",
    selection=dg.AssetSelection.all(),
    description="Export, compute, check and publish a range of days.",
)


@dg.schedule(
    name="nightly",
    job=refresh,
    cron_schedule="15 2 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description=f"Every night at 02:15 UTC: the last {NIGHTLY_DAYS} days including today, in one run.",
)
def nightly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Ask for the days that end with the day of the tick."""
    today = context.scheduled_execution_time.astimezone(UTC).date()
    first = today - timedelta(days=NIGHTLY_DAYS - 1)
    return dg.RunRequest(run_key=f"nightly-{today}", tags=range_tags(first, today))


@dg.sensor(
    name="late_days",
    job=refresh,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Days of the lake that changed after their rollups were published, whoever exported them.",
)
def late_days(context: dg.SensorEvaluationContext, deployment: Deployment) -> dg.SensorResult | dg.SkipReason:
    """Compare the lake's events per day with those published, and ask for every day that the change can reach.

    An event of day D moves cohorts from D - 7 (their seven-day window) up to today (a first_seen that moved).
    The cursor keeps the counts dealt with: a day whose run fails is asked for once, not for ever.
    """
    if context.instance.get_runs_count(dg.RunsFilter(statuses=UNFINISHED)) > 0:
        return dg.SkipReason("A run is under way; the days are compared after it.")
    snapshot = deployment.lake().snapshot()
    if snapshot is None:
        return dg.SkipReason("Nothing was exported yet.")
    today = deployment.now().date()
    oldest = max(FIRST_DAY, today - timedelta(days=MAXIMUM_WINDOW_DAYS - 1))
    rows = rows_per_day(snapshot, oldest, today)
    seen: dict[str, int] = json.loads(context.cursor) if context.cursor else {}
    changed = {day: count for day, count in rows.items() if seen.get(day) != count}
    late = unpublished(context.instance, changed)
    if not late:
        return dg.SensorResult(cursor=json.dumps(rows), skip_reason="Every day of the lake is published.")
    first = max(oldest, min(late) - LONGEST_FOLLOW_UP)
    tags = {**range_tags(first, today), "tidemark/reason": "late events"}
    request = dg.RunRequest(run_key=f"late-days-{snapshot.version}", tags=tags)
    return dg.SensorResult(run_requests=[request], cursor=json.dumps(rows))


def rows_per_day(snapshot: LakeSnapshot, first: date, last: date) -> dict[str, int]:
    """Return the events of a lake version by ISO day, for the days from `first` to `last`."""
    return {day.isoformat(): snapshot.rows(day, day) for day in snapshot.days() if first <= day <= last}


def unpublished(instance: dg.DagsterInstance, rows: Mapping[str, int]) -> list[date]:
    """Return the days for which some published table rests on another number of events than `rows` says."""
    late: set[str] = set()
    for asset in PUBLISHED if rows else ():
        published = _published_rows(instance, asset.key, rows)
        late |= {day for day, count in rows.items() if published.get(day) != count}
    return sorted(date.fromisoformat(day) for day in late)


def _published_rows(instance: dg.DagsterInstance, key: dg.AssetKey, days: Iterable[str]) -> dict[str, int]:
    wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=list(days))
    newest: dict[str, int] = {}
    for record in instance.fetch_materializations(wanted, limit=HISTORY_LIMIT).records:
        event = record.asset_materialization
        if event and event.partition and LAKE_ROWS in event.metadata:
            newest.setdefault(event.partition, int(str(event.metadata[LAKE_ROWS].value)))
    return newest
