"""Commands that run something until it is stopped or ends: up, serve, test."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Annotated, Any

import typer

from api.dashboard.one_time_link import make_link
from cli.dashboard_token import token_place
from cli.output import print_line
from cli.running_system import RunningSystem, running_api, running_system
from cli.stop_signals import StopRequested
from pipeline.settings import REPOSITORY, Settings

# Many tests wait for processes and disks: one file more at a time than there are cores, each in one place.
WHOLE_SUITE = ("-n", str((os.cpu_count() or 1) + 1), "--dist", "loadfile")
PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True}


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(up)
    app.command()(serve)
    app.command(context_settings=PASS_THROUGH)(test)


def up() -> None:
    """Run everything: Postgres, API, dashboard and Dagster, until Ctrl-C."""
    with suppress(StopRequested), running_system(Settings()) as system:
        for line in links(system):
            print_line(line)
        print_line("Ctrl-C stops everything.")
        system.run_until_signal()


def serve(
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="API processes.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port to listen on.")] = None,
) -> None:
    """Run the API alone, with its log on this terminal, until Ctrl-C."""
    given: dict[str, Any] = {"workers": workers, "host": host, "port": port}
    settings = Settings().model_copy(update={name: value for name, value in given.items() if value is not None})
    with suppress(StopRequested), running_api(settings) as system:
        print_line(f"API: {system.url} (documentation: {system.url}/docs); Ctrl-C stops it.")
        system.run_until_signal()


def test(context: typer.Context) -> None:
    """Run the whole test suite; what follows is handed to pytest instead, for example `test -k rollup`."""
    os.chdir(REPOSITORY)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *(context.args or WHOLE_SUITE)])


def links(system: RunningSystem) -> list[str]:
    """Return what to look at once a system runs, one line each; the link to the dashboard is new each time."""
    place = token_place(system.settings)
    return [
        f"Dashboard:   {make_link(system.settings.home, system.url)}  (signs you in once)",
        f"API:         {system.url}  (documentation: {system.url}/docs)",
        f"Dagster:     {system.dagster_url}",
        f"Token:       {place}",
    ]
