"""The checks between the stages: what they find wrong is not published.

A check runs once per run and looks at all of the run's days. It has no partitions of its own: of a run over several
days Dagster would keep one result without a day, and show the check as skipped on each of them.
No postponed annotations here: Dagster reads the annotation of `context` as it stands.
"""

from datetime import date, timedelta

import dagster as dg

from dagster_project.assets import COMPUTED, PUBLISHED, events
from dagster_project.resources import Deployment
from dagster_project.same_run import AUDIT, LAKE_VERSION, audited_version, staged_runs
from pipeline.lake.table import LakeSnapshot
from pipeline.rollups.checks import freshness, lake_matches_postgres
from pipeline.rollups.jobs import JOBS, Window
from pipeline.rollups.publish import verify
from pipeline.rollups.staging import StagedRollup, load_staged


@dg.asset_check(
    asset=events, name=AUDIT.name, blocking=True,
    description="Each day holds the same events in the lake as in Postgres: none lost, none twice, none exchanged.",
)  # fmt: skip
def lake_matches_events(context: dg.AssetCheckExecutionContext, deployment: Deployment) -> dg.AssetCheckResult:
    """Compare every day of the run with Postgres, as far as the lake's watermark says it is exported.

    Run by itself, without days, it compares the whole lake.
    """
    snapshot = deployment.lake().snapshot()
    window = window_of_run(context)
    found = differences(deployment, snapshot, window)
    version = {} if snapshot is None else {LAKE_VERSION: snapshot.version}
    audited = "the whole lake" if window is None else f"{window.first} to {window.last}"
    return dg.AssetCheckResult(passed=not found, metadata={"audited": audited, "days": found, **version})


def rules_check(asset: dg.AssetsDefinition) -> dg.AssetChecksDefinition:
    """Make the check that a computed rollup keeps every rule of its table, and rests on an audited lake."""

    @dg.asset_check(
        asset=asset, name="keeps_its_rules", blocking=True,
        description="Every metric once per tenant and day, no unknown tenant or variant, no impossible value.",
    )  # fmt: skip
    def keeps_its_rules(context: dg.AssetCheckExecutionContext, deployment: Deployment) -> dg.AssetCheckResult:
        settings = deployment.settings()
        found: list[str] = []
        for run_id in staged_runs(context, asset.key.to_user_string()):
            staged = load_staged(settings, run_id)
            found += verify(deployment.database_url, staged)
            if staged.lake_version != audited_version(context):
                found += unaudited_differences(deployment, staged)
        return dg.AssetCheckResult(passed=not found, metadata={"findings": found})

    return keeps_its_rules


def freshness_check(asset: dg.AssetsDefinition, job: str) -> dg.AssetChecksDefinition:
    """Make the check that yesterday is published; it warns, since old days may be published all the same."""

    @dg.asset_check(asset=asset, name="is_fresh", description="Yesterday, or a later day, is published.")
    def is_fresh(deployment: Deployment) -> dg.AssetCheckResult:
        now = deployment.now()
        (found,) = (state for state in freshness(deployment.database_url, now) if state.job == job)
        return dg.AssetCheckResult(
            passed=found.fresh,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={
                "newest_day": str(found.newest_day),
                "wanted_day": (now.date() - timedelta(days=1)).isoformat(),
            },
        )

    return is_fresh


def window_of_run(context: dg.AssetCheckExecutionContext) -> Window | None:
    """Return the days that the run materializes, None when it has none: somebody executes the check by itself."""
    if not context.op_execution_context.has_partitions:
        return None
    keys = context.partition_key_range
    return Window(date.fromisoformat(keys.start), date.fromisoformat(keys.end))


def unaudited_differences(deployment: Deployment, staged: StagedRollup) -> list[str]:
    """Audit the lake version of a rollup that this run has not audited: another export came in between."""
    snapshot = None if staged.lake_version is None else deployment.lake().snapshot(staged.lake_version)
    return differences(deployment, snapshot, staged.window)


def differences(deployment: Deployment, snapshot: LakeSnapshot | None, window: Window | None) -> list[str]:
    """Return a sentence for every tenant and day (of the window, if given) with different events in the lake."""
    first, last = (None, None) if window is None else (window.first, window.last)
    balances = lake_matches_postgres(deployment.settings(), deployment.database_url, snapshot, first, last)
    return [str(balance) for balance in balances if not balance.matches]


CHECKS = [
    lake_matches_events,
    *(rules_check(asset) for asset in COMPUTED),
    *(freshness_check(asset, job) for asset, job in zip(PUBLISHED, JOBS, strict=True)),
]
