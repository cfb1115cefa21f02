"""The code location: everything Dagster knows of Tidemark, listed."""

from __future__ import annotations

import dagster as dg

from dagster_project.abandoned_runs import abandoned_runs
from dagster_project.assets import COMPUTED, PUBLISHED, events
from dagster_project.automation import late_days, nightly, recompute, refresh_due
from dagster_project.checks import CHECKS
from dagster_project.maintenance import MAINTENANCE, maintenance, nightly_maintenance
from dagster_project.refreshing import refresh
from dagster_project.resources import Deployment

ASSETS = [events, *COMPUTED, *PUBLISHED]

defs = dg.Definitions(
    assets=[*ASSETS, *MAINTENANCE],
    asset_checks=CHECKS,
    jobs=[recompute, refresh, maintenance],
    schedules=[nightly, nightly_maintenance],
    sensors=[refresh_due, late_days, abandoned_runs],
    resources={"deployment": Deployment(database_url=dg.EnvVar("DATABASE_URL"))},
    # A process per step would cost seconds each, for steps that share memory limits and locks anyway.
    executor=dg.in_process_executor,
)
