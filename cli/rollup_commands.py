"""`rollup`, `backfill` and `check`: numbers from the lake, and proof that they are right.

What computes is imported by the command that needs it: every other command starts faster without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from cli.database import ready_database
from cli.output import print_json, print_line
from cli.progress import Progress
from pipeline.clock import Clock, utc_now
from pipeline.rollups.jobs import (
    DEFAULT_STRETCH_DAYS,
    DEFAULT_WINDOW_DAYS,
    JOBS,
    MAXIMUM_WINDOW_DAYS,
    Window,
    WindowError,
)
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.ingestion.conservation import Conservation
    from pipeline.rollups.publish import PublishedRollup


class JobName(StrEnum):
    """A rollup job, as in pipeline.rollups.jobs.JOBS."""

    DAILY = "daily"
    EXPERIMENT = "experiment"
    FUNNEL = "funnel"
    FUNNEL_COHORT = "funnel_cohort"
    RETENTION = "retention"


class CheckName(StrEnum):
    """What to check."""

    ALL = "all"
    IDEMPOTENCY = "idempotency"
    CONSERVATION = "conservation"
    FRESHNESS = "freshness"
    EQUALITY = "equality"


QUICK_CHECKS = (CheckName.IDEMPOTENCY, CheckName.CONSERVATION, CheckName.FRESHNESS)


def parse_moment(text: str) -> datetime:
    """Return an ISO 8601 time as an aware datetime in UTC; a time without a zone is UTC. Usage error otherwise."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not an ISO 8601 time such as 2026-11-21T09:30:00Z") from None
    if not 1971 <= moment.year <= 9998:
        raise typer.BadParameter(f"{text!r} is outside the years 1971 to 9998")
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def parse_day(text: str) -> date:
    """Return a UTC day written as YYYY-MM-DD. Usage error otherwise."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a day such as 2026-11-21") from None


AsOf = Annotated[
    datetime | None,
    typer.Option(
        parser=parse_moment, metavar="ISO", help="Compute as of this time instead of now; UTC when it has no zone.",
        show_default=False,
    ),
]  # fmt: skip
NoWait = Annotated[bool, typer.Option("--no-wait", help="Fail when another rollup of a job is running.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.command("rollup")(rollup_command)
    app.command("backfill")(backfill_command)
    app.command("check")(check_command)


def rollup_command(
    job: Annotated[JobName | None, typer.Option(help="One job only. [default: all]", show_default=False)] = None,
    window_days: Annotated[
        int, typer.Option(min=1, max=MAXIMUM_WINDOW_DAYS, help="Days to compute; the last one is today.")
    ] = DEFAULT_WINDOW_DAYS,
    as_of: AsOf = None,
    no_wait: NoWait = False,
) -> None:
    """Export what is new, then compute and publish the last days."""
    moment = as_of or utc_now()
    jobs = JOBS if job is None else (job.value,)
    _roll_up(jobs, Window.ending(moment, window_days), moment, wait=not no_wait)


def backfill_command(
    first: Annotated[date, typer.Option("--from", parser=parse_day, metavar="DAY", help="First UTC day.")],
    last: Annotated[date, typer.Option("--to", parser=parse_day, metavar="DAY", help="Last UTC day, included.")],
    *,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew, also with days that an interrupted backfill has published.")
    ] = False,
    stretch_days: Annotated[
        int, typer.Option(min=1, max=MAXIMUM_WINDOW_DAYS, help="Days to compute and publish at a time.")
    ] = DEFAULT_STRETCH_DAYS,
    as_of: AsOf = None,
    no_wait: NoWait = False,
) -> None:
    """Export what is new, then compute and publish the days from one to another; interrupted, go on where it was."""
    from pipeline.rollups.backfill import backfill, is_unfinished  # noqa: PLC0415

    settings, now = Settings(), utc_now()
    try:
        window = Window(first, last)
        if restart or not is_unfinished(settings, window, as_of):
            window.check(as_of or now)
    except WindowError as error:
        raise typer.BadParameter(str(error)) from None
    with ready_database(settings) as database_url:
        _export(settings, database_url)
        with Progress("backfilling", unit="days") as progress:
            result = backfill(
                settings, database_url, window, now,
                as_of=as_of, restart=restart, stretch_days=stretch_days, wait=not no_wait,
                say=print_line, days_done=progress.update,
            )  # fmt: skip
    print_json(
        {
            "ok": not result.failures,
            "window_start": window.start,
            "window_end": window.end,
            "days_published_before": result.resumed,
            "jobs": _totals(result.published),
            "failed": [{"day": failed.day, "job": failed.job, "error": failed.error} for failed in result.failures],
        }
    )
    if result.failures:
        raise typer.Exit(1)


def check_command(
    what: Annotated[CheckName, typer.Argument(help="What to check.")] = CheckName.ALL,
) -> None:
    """Check the numbers: computed again they are the same, no event is lost or doubled, and they are fresh.

    `equality` computes everything anew, which takes its time: it runs only when it is asked for.
    """
    settings = Settings()
    names = QUICK_CHECKS if what is CheckName.ALL else (what,)
    with ready_database(settings) as database_url:
        checks = [_run_check(name, settings, database_url, utc_now) for name in names]
    for check in checks:
        for problem in check.problems:
            print_line(f"{check.name}: {problem}")
    ok = not any(check.problems for check in checks)
    print_json({"ok": ok, "checks": [check.summary() for check in checks]})
    if not ok:
        raise typer.Exit(1)


class _Check(NamedTuple):
    """A check that was run: what is wrong, one sentence each, and the figures it compared."""

    name: str
    problems: list[str]
    figures: Mapping[str, object] = {}

    def summary(self) -> dict[str, object]:
        return {"name": self.name, "ok": not self.problems, "problems": self.problems, **self.figures}


def _run_check(name: CheckName, settings: Settings, database_url: str, clock: Clock) -> _Check:
    from pipeline.ingestion.conservation import conservation  # noqa: PLC0415
    from pipeline.lake.table import Lake  # noqa: PLC0415
    from pipeline.refresh.equality import compare_all  # noqa: PLC0415
    from pipeline.rollups.checks import freshness, recompute  # noqa: PLC0415

    with Progress(f"checking {name}"):
        match name:
            case CheckName.IDEMPOTENCY:
                recomputed = recompute(settings, database_url)
                return _Check(str(name), [str(found) for found in recomputed if found.difference is not None])
            case CheckName.EQUALITY:
                compared = compare_all(settings, database_url)
                problems = [str(found) for found in compared if found.problem is not None]
                return _Check(str(name), problems, {"rows": {found.job: found.rows for found in compared}})
            case CheckName.CONSERVATION:
                chain = conservation(settings, database_url, Lake(settings.lake).snapshot())
                return _Check(str(name), chain.problems, _figures(chain))
            case _:
                published = freshness(database_url, clock())
                return _Check(str(name), [str(found) for found in published if not found.fresh])


def _figures(chain: Conservation) -> dict[str, object]:
    links = [{"name": link.name, "left": link.left, "right": link.right, "ok": link.ok} for link in chain.links]
    return {"links": links, "awaiting_export": chain.awaiting_export}


def _roll_up(jobs: Sequence[str], window: Window, as_of: datetime, *, wait: bool) -> None:
    from pipeline.rollups.run import roll_up  # noqa: PLC0415

    settings = Settings()
    with ready_database(settings) as database_url:
        _export(settings, database_url)
        with Progress("rolling up", unit="days") as progress:
            published = roll_up(
                settings, database_url, jobs, window, as_of, wait=wait, say=print_line, step_done=progress.update
            )
    print_json(
        {
            "ok": True,
            "window_start": window.start,
            "window_end": window.end,
            "jobs": [_summary(run) for run in published],
        }
    )


def _export(settings: Settings, database_url: str) -> None:
    from pipeline.export.run import export  # noqa: PLC0415
    from pipeline.lake.table import Lake  # noqa: PLC0415

    with Progress("exporting") as progress:
        export(database_url, Lake(settings.lake), rows_written=progress.update)


def _totals(published: Sequence[PublishedRollup]) -> list[dict[str, object]]:
    """Return what all runs of each job published together."""
    totals = []
    for name in dict.fromkeys(run.job_name for run in published):
        runs = [run for run in published if run.job_name == name]
        totals.append(
            {
                "job_name": name,
                "rows_written": sum(run.rows_written for run in runs),
                "ignored_count": sum(run.ignored_count for run in runs),
                "runs": [run.run_id for run in runs],
                "seconds": round(sum(run.seconds for run in runs), 3),
            }
        )
    return totals


def _summary(run: PublishedRollup) -> dict[str, object]:
    return {
        "job_name": run.job_name,
        "rows_written": run.rows_written,
        "ignored_count": run.ignored_count,
        "run_id": run.run_id,
        "lake_version": run.lake_version,
        "seconds": run.seconds,
    }
