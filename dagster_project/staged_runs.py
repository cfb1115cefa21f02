"""How a computed rollup finds its way to its checks and its publication: through the metadata of the same Dagster run.

Only the same run counts, because only there have the checks looked at it.
"""

from __future__ import annotations

import dagster as dg

RUN_IDS = "run_ids"
LAKE_ROWS = "lake_rows"


def staged_runs(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, asset: str) -> list[str]:
    """Return the ids of the rollup runs that `asset` computed in this Dagster run.

    Raises dagster.Failure, without a retry, when the asset is not part of this run.
    """
    run_id = context.run.run_id
    records = context.instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION).records
    for record in reversed(records):
        event = record.asset_materialization
        if event and event.asset_key == dg.AssetKey(asset):
            staged = event.metadata[RUN_IDS].value
            return [str(staged_id) for staged_id in staged] if isinstance(staged, list) else []
    raise dg.Failure(
        f"{asset} was not computed in this run, so nothing is checked and ready to publish; "
        f"materialize {asset} together with the asset it feeds",
        allow_retries=False,
    )
