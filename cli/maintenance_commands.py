"""`prune`, `compact` and `vacuum`: what keeps Postgres and the lake from growing without end.

Dagster runs all three every night. What reads and writes Parquet is imported by the command that needs it.
"""

from __future__ import annotations

from typing import Annotated

import typer

from cli.database import ready_database
from cli.output import print_json, print_line
from cli.progress import Progress
from pipeline.clock import utc_now
from pipeline.settings import Settings

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.command("prune")(prune_command)
    app.command("compact")(compact_command)
    app.command("vacuum")(vacuum_command)


def prune_command(dry_run: DryRun = False) -> None:
    """Remove events from Postgres that are older than TIDEMARK_HOT_DAYS and proven to be in the lake.

    And the records of runs older than TIDEMARK_RUN_HISTORY_DAYS that no published row names.
    """
    from pipeline.lake.table import Lake  # noqa: PLC0415
    from pipeline.retention.prune import prune  # noqa: PLC0415
    from pipeline.retention.run_records import forget_runs  # noqa: PLC0415

    settings, now = Settings(), utc_now()
    with ready_database(settings) as database_url, Progress("pruning") as progress:
        result = prune(settings, database_url, Lake(settings.lake), now, dry_run=dry_run, rows_done=progress.update)
        forgotten = forget_runs(settings, database_url, now, dry_run=dry_run)
    for sentence in result.held:
        print_line(f"kept in Postgres: {sentence}")
    print_json(
        {
            "ok": not result.held,
            "dry_run": result.dry_run,
            "received_before": result.before,
            "found": result.found,
            "removed": result.removed,
            "held": result.held,
            "lake_version": result.lake_version,
            "runs_began_before": forgotten.before,
            "runs_removed": forgotten.runs,
            "seconds": round(result.seconds, 3),
        }
    )
    if result.held:
        raise typer.Exit(1)


def compact_command(
    whole_days: Annotated[
        bool, typer.Option("--whole-days", help="Merge all files of each day, large ones too.")
    ] = False,
) -> None:
    """Merge the lake's small files, day by day; the rows stay the same."""
    from pipeline.lake.compaction import compact  # noqa: PLC0415
    from pipeline.lake.table import Lake  # noqa: PLC0415

    settings = Settings()
    with ready_database(settings) as database_url, Progress("compacting", unit="days") as progress:
        result = compact(settings, database_url, Lake(settings.lake), whole_days=whole_days, days_done=progress.update)
    print_json(
        {"ok": True, "days": result.days, "lake_version": result.lake_version, "seconds": round(result.seconds, 3)}
    )


def vacuum_command(dry_run: DryRun = False) -> None:
    """Remove files that no version of the lake of the last TIDEMARK_LAKE_HISTORY_DAYS needs."""
    from pipeline.lake.table import Lake  # noqa: PLC0415
    from pipeline.lake.vacuum import vacuum  # noqa: PLC0415

    settings = Settings()
    with ready_database(settings) as database_url, Progress("vacuuming", unit="tables"):
        result = vacuum(settings, database_url, Lake(settings.lake), utc_now(), dry_run=dry_run)
    print_json(
        {
            "ok": True,
            "dry_run": result.dry_run,
            "kept_since": result.kept_since,
            "tables": result.tables,
            "seconds": round(result.seconds, 3),
        }
    )
