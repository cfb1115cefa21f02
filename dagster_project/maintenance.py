"""What keeps Postgres and the lake from growing without end: four assets without days, one nightly job.

No postponed annotations here: Dagster reads the annotation of `context` as it stands.
"""

import dagster as dg

from dagster_project.previews import markdown_table
from dagster_project.resources import Deployment
from dagster_project.same_run import AUDIT
from pipeline.lake.compaction import compact
from pipeline.lake.vacuum import vacuum
from pipeline.retention.prune import prune
from pipeline.retention.run_records import forget_runs

GROUP = "maintenance"


@dg.asset(group_name=GROUP, kinds={"deltalake"})
def compacted_lake(context: dg.AssetExecutionContext, deployment: Deployment) -> dg.MaterializeResult[None]:
    """The lake with few large files instead of many small ones; its rows stay the same."""
    result = compact(deployment.settings(), deployment.database_url, deployment.lake())
    context.log.info(f"merged the small files of {len(result.days)} days")
    merged = [
        {"day": day.day, "files before": day.files_before, "after": day.files_after, "rows": day.rows}
        for day in reversed(result.days)
    ]
    return dg.MaterializeResult(
        metadata={
            "days": len(result.days),
            "files_before": sum(day.files_before for day in result.days),
            "files_after": sum(day.files_after for day in result.days),
            "bytes": sum(day.bytes_after for day in result.days),
            "seconds": round(result.seconds, 3),
            "preview": markdown_table(merged),
        }
    )


@dg.asset(group_name=GROUP, kinds={"postgres"}, deps=[compacted_lake])
def pruned_events(context: dg.AssetExecutionContext, deployment: Deployment) -> dg.MaterializeResult[None]:
    """Postgres without the events that are older than TIDEMARK_HOT_DAYS and proven to be in the lake.

    Not while the last audit of the lake has failed: somebody has to look first.
    """
    audit = context.instance.get_latest_asset_check_evaluation_record(AUDIT)
    if audit is not None and audit.event is not None:
        evaluation = audit.event.asset_check_evaluation if audit.event.is_dagster_event else None
        if evaluation is not None and not evaluation.passed:
            raise dg.Failure(
                f"the check {AUDIT.name} of events failed the last time, so nothing is pruned: see what it found, then"
                " materialize events and this asset again",
                allow_retries=False,
            )
    result = prune(deployment.settings(), deployment.database_url, deployment.lake(), deployment.now())
    if result.held:
        raise dg.Failure(
            f"{result.removed} events were pruned; some days were not, since the lake does not hold the same events",
            metadata={"held": list(result.held)},
            allow_retries=False,
        )
    return dg.MaterializeResult(
        metadata={
            "received_before": result.before.isoformat(),
            "events_pruned": result.removed,
            "seconds": round(result.seconds, 3),
        }
    )


@dg.asset(group_name=GROUP, kinds={"deltalake"}, deps=[compacted_lake])
def vacuumed_lake(deployment: Deployment) -> dg.MaterializeResult[None]:
    """The lake without the files that only versions older than TIDEMARK_LAKE_HISTORY_DAYS have."""
    result = vacuum(deployment.settings(), deployment.database_url, deployment.lake(), deployment.now())
    return dg.MaterializeResult(
        metadata={
            "kept_since": result.kept_since.isoformat(),
            "files_removed": sum(table.removed_files for table in result.tables),
            "bytes_removed": sum(table.removed_bytes for table in result.tables),
            "files_kept": sum(table.kept_files for table in result.tables),
            "seconds": round(result.seconds, 3),
        }
    )


@dg.asset(group_name=GROUP, kinds={"postgres"}, deps=[vacuumed_lake])
def pruned_run_records(deployment: Deployment) -> dg.MaterializeResult[None]:
    """The records of runs without those older than TIDEMARK_RUN_HISTORY_DAYS that no published row names."""
    result = forget_runs(deployment.settings(), deployment.database_url, deployment.now())
    return dg.MaterializeResult(
        metadata={"began_before": result.before.isoformat(), "runs_removed": result.runs, "files_removed": result.files}
    )


MAINTENANCE = [compacted_lake, pruned_events, vacuumed_lake, pruned_run_records]

maintenance = dg.define_asset_job(
    "maintenance",
    selection=dg.AssetSelection.groups(GROUP),
    description="Merge the lake's small files, prune Postgres, remove files and records that nobody needs any more.",
)

nightly_maintenance = dg.ScheduleDefinition(
    name="nightly_maintenance",
    job=maintenance,
    cron_schedule="45 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every night at 03:45 UTC, after the nightly run and its checks.",
)
