"""The assets: `events`, then what each rollup job computed, then what it published.

Each translates partition keys into days, calls `pipeline`, and reports what happened as metadata.
No postponed annotations here: Dagster reads the annotation of `context` as it stands.
"""

from datetime import date

import dagster as dg

from dagster_project.partitions import DAYS, FIRST_DAY, days_of, windows_of
from dagster_project.reports import computed_metadata, events_of_day, exported_metadata, published_metadata
from dagster_project.resources import Deployment
from dagster_project.staged_runs import staged_runs
from pipeline.export import export
from pipeline.jobs import job_named
from pipeline.publish import publish
from pipeline.rollups import stage
from pipeline.staging import load_staged

GROUP = "tidemark"
SINGLE_RUN = dg.BackfillPolicy.single_run()
RETRY_EXPORT = dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL)


@dg.asset(
    group_name=GROUP, partitions_def=DAYS, backfill_policy=SINGLE_RUN, retry_policy=RETRY_EXPORT, kinds={"deltalake"}
)
def events(context: dg.AssetExecutionContext, deployment: Deployment) -> dg.MaterializeResult:
    """Every acknowledged event, in the lake: asking for any day exports all that is new, whatever its day."""
    exported = export(deployment.database_url, deployment.lake())
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
