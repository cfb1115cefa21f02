"""The assets: `events`, then what each rollup job computed, then what it published.

Each translates partition keys into days, calls `pipeline`, and reports what happened as metadata.
No postponed annotations here: Dagster reads the annotation of `context` as it stands.
"""

import dagster as dg

from dagster_project.partitions import DAYS, days_of, windows_of
from dagster_project.reports import (
    computed_metadata,
    events_of_day,
    exported_metadata,
    published_days,
    published_metadata,
)
from dagster_project.resources import Deployment
from dagster_project.same_run import staged_runs
from pipeline.refresh.run import take_in
from pipeline.rollups.jobs import DEFAULT_STRETCH_DAYS, job_named
from pipeline.rollups.publish import publish
from pipeline.rollups.run import stage
from pipeline.rollups.staging import load_staged

GROUP = "tidemark"
# A backfill is cut into runs of so many days: one that fails undoes none of the others, and can be repeated alone.
IN_STRETCHES = dg.BackfillPolicy.multi_run(max_partitions_per_run=DEFAULT_STRETCH_DAYS)
# Only the export fails for passing reasons; a rollup that fails does so again, with every day of its range.
RETRY_EXPORT = dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL)


@dg.asset(
    group_name=GROUP, partitions_def=DAYS, backfill_policy=IN_STRETCHES, retry_policy=RETRY_EXPORT, kinds={"deltalake"}
)
def events(context: dg.AssetExecutionContext, deployment: Deployment) -> dg.MaterializeResult[None]:
    """Every acknowledged event, in the lake: asking for any day exports all that is new, whatever its day."""
    exported = take_in(deployment.settings(), deployment.database_url, deployment.now())
    snapshot = deployment.lake().snapshot(exported.lake_version)
    asked = days_of(context.partition_keys)
    for day in asked:
        context.add_asset_metadata(events_of_day(exported, snapshot, day), partition_key=day.isoformat())
    beyond = [day for day in exported.days if day not in asked]
    for day in beyond:
        if DAYS.has_partition_key(day.isoformat()):
            context.instance.report_runless_asset_event(
                dg.AssetMaterialization(
                    context.asset_key, partition=day.isoformat(), metadata=events_of_day(exported, snapshot, day)
                )
            )
    return dg.MaterializeResult(metadata=exported_metadata(exported, beyond))


def computing_asset(job: str, description: str) -> dg.AssetsDefinition:
    """Make the asset that computes a rollup job over one lake version, to be checked before it is published."""

    @dg.asset(
        name=f"{job}_rollup", description=description, deps=[events],
        group_name=GROUP, partitions_def=DAYS, backfill_policy=IN_STRETCHES, kinds={"duckdb"},
    )  # fmt: skip
    def rollup(context: dg.AssetExecutionContext, deployment: Deployment) -> dg.MaterializeResult[None]:
        settings, as_of = deployment.settings(), deployment.now()
        staged = [
            stage(settings, deployment.database_url, job, window, as_of, say=context.log.info)
            for window in windows_of(days_of(context.partition_keys))
        ]
        return dg.MaterializeResult(metadata=computed_metadata(staged))

    return rollup


def publishing_asset(job: str, description: str) -> dg.AssetsDefinition:
    """Make the asset that replaces a job's published rows by those computed and checked in the same run."""

    @dg.asset(
        name=job_named(job).table, description=description, deps=[f"{job}_rollup"],
        group_name=GROUP, partitions_def=DAYS, backfill_policy=IN_STRETCHES, kinds={"postgres"},
    )  # fmt: skip
    def published(context: dg.AssetExecutionContext, deployment: Deployment) -> dg.MaterializeResult[None]:
        settings = deployment.settings()
        staged = [load_staged(settings, run_id) for run_id in staged_runs(context, f"{job}_rollup")]
        results = [publish(deployment.database_url, rollup) for rollup in staged]
        for day, metadata in published_days(staged, deployment.lake()):
            context.add_asset_metadata(metadata, partition_key=day.isoformat())
        return dg.MaterializeResult(metadata=published_metadata(results))

    return published


daily_rollup = computing_asset("daily", "Active and new users, sessions, logging rate, lag and volume, per day.")
experiment_rollup = computing_asset("experiment", "Cohorts of each running experiment's variants, per day.")
funnel_rollup = computing_asset("funnel", "Users and events at each step of the funnels, per day.")
funnel_cohort_rollup = computing_asset("funnel_cohort", "How far those who entered a funnel on a day got, in order.")
retention_rollup = computing_asset("retention", "How many of a day's new users came back 1 to 30 days later.")

daily_metric_rollups = publishing_asset("daily", "The table behind the daily metrics endpoints and dashboard.")
experiment_metric_rollups = publishing_asset("experiment", "The table behind the experiment endpoints and dashboard.")
funnel_rollups = publishing_asset("funnel", "The table behind the funnel endpoint and dashboard.")
funnel_cohort_rollups = publishing_asset("funnel_cohort", "The table behind the endpoint of ordered funnels.")
retention_rollups = publishing_asset("retention", "The table behind the retention endpoint.")

# In the order of JOBS, both.
COMPUTED = [daily_rollup, experiment_rollup, funnel_rollup, funnel_cohort_rollup, retention_rollup]
PUBLISHED = [
    daily_metric_rollups, experiment_metric_rollups, funnel_rollups, funnel_cohort_rollups, retention_rollups,
]  # fmt: skip
