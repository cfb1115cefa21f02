"""What earlier steps of the same Dagster run reported: the rollups they computed, the lake version they audited.

Only the same run counts, because only there have the checks looked at what is about to be published.
"""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

RUN_IDS = "run_ids"
LAKE_ROWS = "lake_rows"
LAKE_VERSION = "lake_version"
AUDIT = dg.AssetCheckKey(dg.AssetKey("events"), "lake_matches_postgres")

Context = dg.AssetExecutionContext | dg.AssetCheckExecutionContext


def staged_runs(context: Context, asset: str) -> list[str]:
    """Return the ids of the rollup runs that `asset` computed in this Dagster run.

    Raises dagster.Failure, without a retry, when the asset is not part of this run.
    """
    for event in _events(context, dg.DagsterEventType.ASSET_MATERIALIZATION):
        if event.asset_key == dg.AssetKey(asset):
            staged = event.step_materialization_data.materialization.metadata[RUN_IDS].value
            return [str(run_id) for run_id in staged] if isinstance(staged, list) else []
    raise dg.Failure(
        f"{asset} was not computed in this run, so nothing is checked and ready to publish; "
        f"materialize {asset} together with the asset it feeds",
        allow_retries=False,
    )


def audited_version(context: Context) -> int | None:
    """Return the lake version that this Dagster run has compared with Postgres, None when it has not."""
    for event in _events(context, dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        evaluation = event.asset_check_evaluation_data
        if evaluation.asset_check_key == AUDIT and evaluation.passed and LAKE_VERSION in evaluation.metadata:
            return int(str(evaluation.metadata[LAKE_VERSION].value))
    return None


def _events(context: Context, kind: dg.DagsterEventType) -> Iterator[dg.DagsterEvent]:
    """Yield the run's events of a kind, newest first."""
    records = context.instance.get_records_for_run(context.run.run_id, of_type=kind).records
    for record in reversed(records):
        event = record.event_log_entry.dagster_event
        if event is not None:
            yield event
