"""`refresh`: exports what is new and brings every published number up to date, at the cost of what is new.

What computes is imported by the command when it runs: every other command starts faster without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.database import ready_database
from cli.output import print_json, print_line
from cli.progress import Progress
from cli.rollup_commands import AsOf, NoWait
from pipeline.clock import utc_now
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.refresh.run import RefreshResult


def register(app: typer.Typer) -> None:
    """Add the command of this module to the application."""
    app.command("refresh")(refresh_command)


def refresh_command(
    full: Annotated[
        bool, typer.Option("--full", help="Compute everything anew: all days, from the events themselves.")
    ] = False,
    as_of: AsOf = None,
    no_wait: NoWait = False,
) -> None:
    """Export what is new, then compute and publish exactly the days whose numbers can have changed."""
    from pipeline.refresh.run import refresh  # noqa: PLC0415

    settings = Settings()
    with ready_database(settings) as database_url, Progress("refreshing", unit="days") as progress:
        result = refresh(
            settings, database_url, as_of or utc_now(),
            full=full, wait=not no_wait, say=print_line, step_done=progress.update,
        )  # fmt: skip
    print_json(_summary(result))


def _summary(result: RefreshResult) -> dict[str, object]:
    return {
        "ok": True,
        "exported_rows": result.exported_rows,
        "lake_version": result.lake_version,
        "state_rebuilt": result.why_rebuilt,
        "jobs": [
            {
                "job_name": run.job_name,
                "days": result.days[job],
                "rows_written": run.rows_written,
                "run_id": run.run_id,
                "seconds": run.seconds,
            }
            for job, run in result.published.items()
        ],
        "seconds": result.seconds,
    }
