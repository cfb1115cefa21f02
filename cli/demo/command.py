"""The command `demo`: everything `up` runs, with a simulated month of a mobile app in it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.dashboard_token import token_file, token_place
from cli.demo.campaign import CAMPAIGN_TENANT
from cli.demo.folder import Wishes
from cli.output import print_json, print_line
from cli.run_commands import links
from cli.running_system import RunningSystem, running_system
from cli.stop_signals import StopRequested
from pipeline.access.keys import DEMO_KEY
from pipeline.settings import Settings

if TYPE_CHECKING:
    from cli.demo.stages import Outcome


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(demo)


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Run to the end, print the report as JSON, stop everything and exit.")
    ] = False,
    users: Annotated[int | None, typer.Option(min=10, max=20_000, help="People to simulate (2000).")] = None,
    days: Annotated[int | None, typer.Option(min=2, max=90, help="UTC days, the last one today (30).")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Another seed makes other people (12).")] = None,
) -> None:
    """Run everything, with a month of a simulated app in it, until Ctrl-C; the data stays for the next time."""
    try:
        # Dagster's processes start when the demo's own Dagster run is over: two cores are few.
        with running_system(Settings(), dagster=False, demo=True) as system:
            outcome = _outcome(system, Wishes(users, days, seed))
            system.start_dagster()
            if once:
                print_json(_as_json(system, outcome))
                return
            _print_report(system, outcome)
            system.run_until_signal()
    except StopRequested:
        if once:
            raise
        print_line("Stopped; `./tidemark demo` goes on where this one ended.")


def _outcome(system: RunningSystem, wishes: Wishes) -> Outcome:
    from cli.demo.stages import run_demo  # noqa: PLC0415 - loads the lake; `--help` must not wait for that

    return run_demo(system, wishes)


def _as_json(system: RunningSystem, outcome: Outcome) -> dict[str, Any]:
    return {
        "ok": True,
        "already_there": outcome.already_there,
        **dataclasses.asdict(outcome.report),
        "sent": outcome.sent and dataclasses.asdict(outcome.sent),
        "still_on_phones": outcome.still_on_phones,
        "seconds": outcome.seconds,
        "links": {"api": system.url, "documentation": f"{system.url}/docs", "dagster": system.dagster_url},
        "campaign": {"tenant": CAMPAIGN_TENANT, "api_key": DEMO_KEY},
        "lake_folder": str(system.settings.lake / "events"),
    }


def _print_report(system: RunningSystem, outcome: Outcome) -> None:
    from cli.demo.report import lines  # noqa: PLC0415 - as above

    print_line()
    if outcome.already_there:
        print_line("The demo is here already; this is what it holds.")
    for line in lines(outcome.report):
        print_line(line)
    seconds = ", ".join(f"{name} {taken:.1f}" for name, taken in outcome.seconds.items())
    print_line(f"Seconds: {seconds}")
    print_line()
    for line in links(system):
        print_line(line)
    token = token_file(system.settings)
    secret = f'$(cat "{token}")' if str(token) in token_place(system.settings) else "$DASHBOARD_TOKEN"
    print_line(f"Metrics:     curl {system.url}/v1/metrics/summary")
    print_line(f'             curl -H "x-dashboard-token: {secret}" {system.url}/v1/metrics/experiments')
    lake = str(system.settings.lake)
    print_line(f"Lake:        polars.scan_parquet(pipeline.lake.table.Lake({lake!r}).snapshot().paths())")
    print_line(f"Campaigns:   tenant {CAMPAIGN_TENANT}, API key {DEMO_KEY}")
    print_line(f'             curl -H "X-API-Key: {DEMO_KEY}" {system.url}/api/experiments')
    print_line("Ctrl-C stops everything; `./tidemark demo` brings it back in seconds.")
