"""`lake-versions` and `lake-files`: what the lake keeps, for engines that are given a list of files.

What reads the lake is imported by the command that needs it: every other command starts faster without.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

import typer

from cli.output import print_json
from cli.rollup_commands import parse_day, parse_moment
from pipeline.settings import Settings

FirstDay = Annotated[
    date | None, typer.Option("--from", parser=parse_day, metavar="DAY", help="First UTC day.", show_default=False)
]
LastDay = Annotated[
    date | None, typer.Option("--to", parser=parse_day, metavar="DAY", help="Last UTC day.", show_default=False)
]
Version = Annotated[int | None, typer.Option(min=0, help="This version instead of the newest.", show_default=False)]
Time = Annotated[
    datetime | None,
    typer.Option(
        parser=parse_moment, metavar="ISO", help="The version of this time instead of the newest.", show_default=False
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.command("lake-versions")(lake_versions)
    app.command("lake-files")(lake_files)


def lake_versions(
    newest: Annotated[int, typer.Option(min=1, help="How many versions, counted from the newest.")] = 20,
) -> None:
    """List versions of the lake: when each was made, and the rows that days gained or lost."""
    from pipeline.lake import open_lake  # noqa: PLC0415

    versions = [
        {
            "version": version.version,
            "committed_at": version.committed_at,
            "operation": version.operation,
            "rows": version.rows,
            "days": None
            if version.rows_by_day is None
            else [{"day": day, "rows": rows} for day, rows in version.rows_by_day.items()],
            "files_added": version.files_added,
            "files_removed": version.files_removed,
        }
        for version in open_lake(Settings()).versions(newest)
    ]
    print_json({"ok": True, "versions": versions})


def lake_files(
    first: FirstDay = None,
    last: LastDay = None,
    version: Version = None,
    time: Time = None,
    sql: Annotated[bool, typer.Option("--sql", help="Print what DuckDB reads FROM, instead of JSON.")] = False,
) -> None:
    """List the files that hold exactly the events of one version of the lake."""
    from pipeline.lake import open_lake  # noqa: PLC0415

    events = open_lake(Settings()).at(version, time=time).events((first, last))
    if sql:
        typer.echo(events.duckdb_source())
        return
    files = [{"path": file.path, "day": file.day, "rows": file.rows, "bytes": file.size} for file in events.files()]
    print_json({"ok": True, "version": events.version, "rows": events.rows, "files": files})
