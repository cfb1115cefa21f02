"""Commands about the database: db start, stop, status and url; migrate; seed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.database import check_reachable, embedded_postgres, masked_url, reachable_database, ready_database
from cli.difference_table import difference_table
from cli.output import print_json, print_line
from cli.postgres_lease import keep_running, kept, stop_keeping
from cli.progress import step
from pipeline.manifest import compare
from pipeline.manifest import seed as load_manifest
from pipeline.migrations import migrate as apply_migrations
from pipeline.settings import REPOSITORY, Settings


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    database = typer.Typer(help="The embedded Postgres: start, stop, status, url.", no_args_is_help=True)
    database.command()(start)
    database.command()(stop)
    database.command()(status)
    database.command()(url)
    app.add_typer(database, name="db")
    app.command()(migrate)
    app.command()(seed)


def start() -> None:
    """Start the embedded Postgres, migrate it, and leave it running until `db stop`."""
    settings = _embedded_settings()
    with step("Starting Postgres"):
        apply_migrations(keep_running(embedded_postgres(settings)))
    status()


def stop() -> None:
    """Stop the embedded Postgres; refuses while other Tidemark processes use it."""
    server = embedded_postgres(_embedded_settings())
    if server.exists:
        with step("Stopping Postgres"):
            stop_keeping(server)
    status()


def status() -> None:
    """Print as JSON which database is used and whether it answers."""
    settings = Settings()
    if settings.database_url is not None:
        address = settings.database_url.get_secret_value()
        print_json(
            {"kind": "external", "url": masked_url(address), "running": True, "version": check_reachable(address)}
        )
        return
    server = embedded_postgres(settings)
    if not server.exists:
        print_json({"kind": "embedded", "folder": server.home, "running": False, "version": None})
        return
    running = server.pid is not None
    print_json(
        {
            "kind": "embedded",
            "folder": server.folder,
            "running": running,
            "version": server.major,
            "pid": server.pid,
            "url": masked_url(server.url()) if running else None,
            "kept": kept(server),
        }
    )


def url() -> None:
    """Print the URL of the database, password included, for `psql "$(./tidemark db url)"`."""
    settings = Settings()
    if settings.database_url is not None:
        typer.echo(settings.database_url.get_secret_value())
    else:
        typer.echo(embedded_postgres(settings).url())


def migrate() -> None:
    """Bring the database's schema up to date; prints the migrations applied now as JSON."""
    with reachable_database(Settings()) as address:
        print_json({"ok": True, "applied": apply_migrations(address)})


def seed(
    manifest: Annotated[Path, typer.Argument(help="The manifest of tests.", exists=True, dir_okay=False)] = REPOSITORY
    / "tests.json",
    *,
    diff: Annotated[bool, typer.Option("--diff", help="Print what would change, and change nothing.")] = False,
) -> None:
    """Load the tests of a manifest (tests.json) into the database; running it again changes nothing."""
    if diff:
        _print_differences(manifest)
        return
    with ready_database(Settings()) as address:
        print_json({"ok": True, "seeded": load_manifest(address, manifest)})


def _print_differences(manifest: Path) -> None:
    with reachable_database(Settings()) as address:
        seedings = compare(address, manifest)
    changing = [seeding.shown() for seeding in seedings if seeding.plan]
    unchanged = [seeding.experiment_id for seeding in seedings if not seeding.plan]
    for line in difference_table(changing):
        print_line(line)
    print_line(f"{len(changing)} of {len(seedings)} experiments would change.")
    print_json({"ok": True, "manifest": manifest, "changes": changing, "unchanged": unchanged})


class ExternalDatabaseError(Exception):
    """A command about the embedded server, while DATABASE_URL names another."""


def _embedded_settings() -> Settings:
    settings = Settings()
    if settings.database_url is not None:
        raise ExternalDatabaseError("DATABASE_URL is set: start and stop that server with its own tools, or unset it")
    return settings
