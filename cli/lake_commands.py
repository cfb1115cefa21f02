"""`export` and `import`: events from Postgres to the lake, and files into Postgres.

What reads and writes Parquet is imported by the command that needs it: every other command starts faster without.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.database import ready_database
from cli.output import print_json, print_line
from cli.progress import Progress
from pipeline.settings import Settings


class ImportKind(StrEnum):
    """What a file holds."""

    EVENTS = "events"
    ASSIGNMENTS = "assignments"


class FileFormat(StrEnum):
    """How a file is written."""

    PARQUET = "parquet"
    CSV = "csv"
    NDJSON = "ndjson"


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.command("export")(export_command)
    app.command("import")(import_command)


def export_command(
    rebuild: Annotated[
        bool,
        typer.Option(help="Export everything anew and replace the lake's content: the repair after a restore."),
    ] = False,
) -> None:
    """Append the events that are new since the last export to the lake."""
    from pipeline.export.run import export  # noqa: PLC0415
    from pipeline.lake.table import Lake  # noqa: PLC0415

    settings = Settings()
    with ready_database(settings) as database_url, Progress("exporting") as progress:
        result = export(database_url, Lake(settings.lake), rebuild=rebuild, rows_written=progress.update)
    print_json(
        {
            "ok": True,
            "rows": result.rows,
            "days": [{"day": day, "rows": rows} for day, rows in result.rows_by_day.items()],
            "lake_version": result.lake_version,
            "files": result.files,
            "bytes": result.size,
            "seconds": round(result.seconds, 3),
        }
    )


def import_command(
    kind: Annotated[ImportKind, typer.Argument(help="What the file holds.")],
    file: Annotated[Path, typer.Argument(help="A Parquet, CSV or NDJSON file; CSV and NDJSON may be gzipped.")],
    file_format: Annotated[
        FileFormat | None, typer.Option("--format", help="The file's format, when its name does not tell.")
    ] = None,
    rejects: Annotated[
        Path | None, typer.Option(help="Where rejected rows go. [default: FILE.rejects.ndjson]", show_default=False)
    ] = None,
    restart: Annotated[
        bool, typer.Option(help="Begin anew even if this file was imported before; nothing is stored twice.")
    ] = False,
) -> None:
    """Import events or assignments from a file; run it again to continue where it was interrupted."""
    from pipeline.imports.run import import_file  # noqa: PLC0415

    settings = Settings()
    with ready_database(settings) as database_url, Progress(f"importing {file.name}") as progress:

        def watch(rows: int, done: int, total: int) -> None:
            # Rows are what people count; the share of the file tells how many there will be.
            progress.update(rows, max(rows, round(rows * total / done)) if done else None)

        result = import_file(
            database_url,
            kind.value,
            file,
            file_format=file_format.value if file_format else None,
            rejects=rejects,
            restart=restart,
            watch=watch,
        )
    if result.already_imported:
        print_line(f"{file}: already imported, nothing done; --restart imports it again")
    elif result.resumed_at:
        print_line(f"{file}: continued after row {result.resumed_at:,}")
    if result.ignored_columns:
        print_line(f"{file}: ignored unknown columns: {', '.join(result.ignored_columns)}")
    if result.rejected:
        print_line(f"{file}: {result.rejected:,} rows rejected; see {result.rejects_file}")
    print_json(
        {
            "ok": result.ok,
            "file": result.file,
            "rows": result.rows,
            "stored": result.stored,
            "duplicate": result.duplicate,
            "conflict": result.conflict,
            "rejected": result.rejected,
            "rejects_file": result.rejects_file,
            "already_imported": result.already_imported,
            "seconds": round(result.seconds, 3),
        }
    )
    if not result.ok:
        raise typer.Exit(1)
