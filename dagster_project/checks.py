"""The checks between the stages: what they find wrong is not published.

Blocking checks run once per run and look at all its days. No postponed annotations here: Dagster reads them as they are.
"""

import dagster as dg

from dagster_project.assets import COMPUTED, PUBLISHED, events
from dagster_project.partitions import DAYS, days_of, windows_of
from dagster_project.resources import Deployment
from dagster_project.staged_runs import staged_runs
from pipeline.publish import verify
from pipeline.staging import load_staged


def rules_check(asset: dg.AssetsDefinition) -> dg.AssetChecksDefinition:
    """Make the check that a computed rollup keeps every rule of its table."""

    @dg.asset_check(
        asset=asset, name="keeps_its_rules", partitions_def=DAYS, blocking=True,
        description="Every metric once per tenant and day, no unknown tenant or variant, no impossible value.",
    )  # fmt: skip
    def keeps_its_rules(context: dg.AssetCheckExecutionContext, deployment: Deployment) -> dg.AssetCheckResult:
        settings = deployment.settings()
        found = [
            finding
            for run_id in staged_runs(context, asset.key.to_user_string())
            for finding in verify(deployment.database_url, load_staged(settings, run_id))
        ]
        return dg.AssetCheckResult(passed=not found, metadata={"findings": found})

    return keeps_its_rules


CHECKS = [*(rules_check(asset) for asset in COMPUTED)]
