"""`runs`, `verify` and `explain`: where the numbers come from, and proof of it.

What computes is imported by the command that needs it: every other command starts faster without.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import typer

from cli.database import ready_database
from cli.output import print_json, print_line
from cli.progress import Progress
from cli.rollup_commands import parse_day
from pipeline.rollups.run_history import DEFAULT_LIMIT, MAXIMUM_LIMIT, read_runs
from pipeline.settings import Settings


class RunName(StrEnum):
    """What the runs of each job are called, in the list and over HTTP."""

    DAILY_METRICS = "daily_metrics_rollup"
    DAILY_COHORTS = "daily_cohorts_rollup"
    EXPERIMENT = "experiment_metrics_rollup"
    FUNNEL = "funnel_rollup"
    FUNNEL_COHORT = "funnel_cohort_rollup"
    RETENTION = "retention_rollup"


def parse_run_id(text: str) -> UUID:
    """Return a run's id. Usage error when it is none."""
    try:
        return UUID(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not the id of a run such as `runs` lists") from None


RunId = Annotated[UUID, typer.Argument(parser=parse_run_id, metavar="RUN_ID", help="A published run.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.command("runs")(runs_command)
    app.command("verify")(verify_command)
    app.command("explain")(explain_command)


def runs_command(
    job: Annotated[RunName | None, typer.Option(help="One job's only. [default: all]", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=MAXIMUM_LIMIT, help="How many at most.")] = DEFAULT_LIMIT,
) -> None:
    """List the runs of rollup jobs, newest first."""
    settings = Settings()
    with ready_database(settings) as database_url:
        print_json({"runs": read_runs(database_url, job, limit)})


def verify_command(run_id: RunId) -> None:
    """Repeat a run from its record: the same files, statements and parameters have to give what it published."""
    from pipeline.provenance.run_verification import verify_run  # noqa: PLC0415

    settings = Settings()
    with ready_database(settings) as database_url, Progress("verifying"):
        found = verify_run(settings, database_url, run_id)
    for problem in found.problems:
        print_line(problem)
    print_json({"ok": found.ok, **found.__dict__})
    if not found.ok:
        raise typer.Exit(1)


def explain_command(
    metric: Annotated[str, typer.Argument(metavar="METRIC", help="A metric's name, as docs/guides/metrics.md lists.")],
    day: Annotated[date, typer.Argument(parser=parse_day, metavar="DAY", help="A UTC day.")],
    *,
    tenant: Annotated[str, typer.Option(help="Whose number.")] = "default",
    dimension: Annotated[
        str | None,
        typer.Option(
            metavar="KEY", help="The event's name for event_volume_by_name, or a funnel row's key.", show_default=False
        ),
    ] = None,
    experiment: Annotated[str | None, typer.Option(help="With --variant: their number.", show_default=False)] = None,
    variant: Annotated[str | None, typer.Option(help="With --experiment.", show_default=False)] = None,
    funnel: Annotated[str, typer.Option(help="The funnel of --step.")] = "core_journey",
    step: Annotated[str | None, typer.Option(help="A funnel's step.", show_default=False)] = None,
    days_after: Annotated[int | None, typer.Option(help="The period of retention.", show_default=False)] = None,
) -> None:
    """Show where one published number comes from, with its SQL and a line that computes it with DuckDB alone."""
    from pipeline.provenance.explanation import Question, UnknownMetricError, explain  # noqa: PLC0415

    settings = Settings()
    question = Question(
        metric=metric, day=day, tenant=tenant, dimension=dimension, experiment=experiment, variant=variant,
        funnel=funnel, step=step, days_after=days_after,
    )  # fmt: skip
    with ready_database(settings) as database_url:
        try:
            found = explain(settings, database_url, question)
        except UnknownMetricError as error:
            raise typer.BadParameter(str(error)) from None
    print_json(found)
