"""What starts by itself: a refresh every few minutes, the nightly run, and a run for stale days that no refresh covers.

All are on by default, each asks for one run, and none computes anything.
"""

from datetime import UTC, date, datetime, timedelta

import dagster as dg

from dagster_project.assets import GROUP
from dagster_project.partitions import FIRST_DAY, range_tags
from dagster_project.refreshing import refresh
from dagster_project.resources import Deployment
from pipeline.database import connect
from pipeline.refresh import stale_days
from pipeline.refresh.user_state import UserState
from pipeline.rollups.jobs import DEFAULT_WINDOW_DAYS, Window, first_computable_day

NIGHTLY_DAYS = DEFAULT_WINDOW_DAYS
SECONDS_BETWEEN_LOOKS = 30
# Small and frequent: it need not wait for all runs of a long backfill, only for the one under way.
BEFORE_OTHERS = {"dagster/priority": "1"}
REASON = "tidemark/reason"
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]

recompute = dg.define_asset_job(
    "recompute",
    selection=dg.AssetSelection.groups(GROUP),
    description="Export, compute, check and publish a range of days, whether their numbers can have changed or not.",
)


@dg.schedule(
    name="nightly",
    job=recompute,
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
    name="refresh_due",
    job=refresh,
    minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Every TIDEMARK_REFRESH_MINUTES: export what is new, and compute exactly the days it changes.",
)
def refresh_due(context: dg.SensorEvaluationContext, deployment: Deployment) -> dg.SensorResult | dg.SkipReason:
    """Ask for one refresh in each stretch of so many minutes, counted from 00:00 UTC, unless one is under way.

    The cursor keeps the stretch that was dealt with; the run key keeps a repeated tick from asking twice.
    """
    minutes = deployment.settings().refresh_minutes
    if minutes == 0:
        return dg.SkipReason("TIDEMARK_REFRESH_MINUTES is 0: nothing is refreshed by itself.")
    stretch = stretch_of(deployment.now(), minutes).isoformat()
    if context.cursor == stretch:
        return dg.SkipReason(f"A refresh was asked for after {stretch} already.")
    if context.instance.get_runs_count(dg.RunsFilter(job_name=refresh.name, statuses=UNFINISHED)) > 0:
        return dg.SkipReason("A refresh is under way or waits for another run to end.")
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=f"refresh-{stretch}", tags=BEFORE_OTHERS)], cursor=stretch
    )


@dg.sensor(
    name="late_days",
    job=recompute,
    minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Without refreshes: one run over the published days whose numbers late events can have changed.",
)
def late_days(context: dg.SensorEvaluationContext, deployment: Deployment) -> dg.SensorResult | dg.SkipReason:
    """Ask for one range run from the first stale day to the last, when no refresh will compute them.

    An export by somebody else has not marked its days yet: a run of today takes it in, and marks them. The cursor keeps
    what was asked for, so that days whose run fails are asked for once, not for ever.
    """
    settings = deployment.settings()
    if settings.refresh_minutes > 0:
        return dg.SkipReason("The next refresh computes every stale day.")
    if context.instance.get_runs_count(dg.RunsFilter(statuses=UNFINISHED)) > 0:
        return dg.SkipReason("A run is under way; stale days are looked for after it.")
    lake = deployment.lake()
    snapshot, state = lake.snapshot(), UserState(lake).snapshot()
    if snapshot is None:
        return dg.SkipReason("Nothing was exported yet.")
    today = deployment.now().date()
    if state is None or state.events_version < snapshot.version:
        window, asked = Window(today, today), f"version {snapshot.version}"
    else:
        # Before the lake's first day there is nothing that could have changed.
        first = max(FIRST_DAY, first_computable_day(deployment.now()), min(snapshot.days(), default=today))
        found = stale_window(deployment, first)
        if found is None:
            return dg.SensorResult(skip_reason="Every published day is up to date.")
        window, asked = found, f"{found.first} to {found.last}, version {snapshot.version}"
    if context.cursor == asked:
        return dg.SkipReason(f"A run for {asked} of the lake was asked for already; see why it failed.")
    tags = {**range_tags(window.first, window.last), REASON: "late events"}
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=None, tags=tags)], cursor=asked)


def stretch_of(moment: datetime, minutes: int) -> datetime:
    """Return when the stretch of `minutes` that contains a moment began; stretches are counted from 00:00 UTC."""
    midnight = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (moment - midnight) // timedelta(minutes=minutes) * timedelta(minutes=minutes)


def stale_window(deployment: Deployment, first: date) -> Window | None:
    """Return the window from the first stale day of any job to the last, none before `first`; None without any."""
    today = deployment.now().date()
    if first > today:
        return None
    with connect(deployment.database_url, application="tidemark-late-days") as connection:
        stale = stale_days.read(connection, Window(first, today))
    days = [day for found in stale.values() for day in found]
    return Window(min(days), max(days)) if days else None
