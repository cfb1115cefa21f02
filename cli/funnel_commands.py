"""`funnels`: the configured funnels, checked."""

from __future__ import annotations

import typer

from cli.output import print_json
from pipeline.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("funnels")(funnels_command)


def funnels_command() -> None:
    """Read the configuration of funnels and print it; fails naming the funnel, step and field that is wrong."""
    from pipeline.rollups.funnels import read_funnels  # noqa: PLC0415

    funnels = read_funnels(Settings().funnels)
    print_json(
        {
            "ok": True,
            "sha256": funnels.sha256,
            "funnels": [
                {
                    "name": funnel.name,
                    "ordered": funnel.ordered,
                    "window_seconds": funnel.window_seconds,
                    "steps": [{"name": step.name, "events": list(step.events)} for step in funnel.steps],
                }
                for funnel in funnels.funnels
            ],
        }
    )
