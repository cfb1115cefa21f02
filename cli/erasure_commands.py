"""`erase`: a person is removed from everything that is kept, and a certificate says so.

What reads the lake is imported when the command runs: every other command starts faster without.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from cli.database import ready_database
from cli.output import print_json, print_line
from cli.progress import Progress
from pipeline.clock import utc_now
from pipeline.settings import Settings

EXPLANATION = "keep salt and digest to prove later whose certificate this is; the salt is not kept here"


def register(app: typer.Typer) -> None:
    """Add the command of this module to the application."""
    app.command("erase")(erase_command)


def erase_command(
    tenant: Annotated[str, typer.Option(help="The tenant that the person is a user of.")],
    user: Annotated[str, typer.Option(help="The person's id, as in anonymous_user_id.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what there is, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove a person from everything that is kept; run it again to continue one that was interrupted."""
    from api.ingestion.spool_erasure import empty_spools  # noqa: PLC0415
    from api.request_log import make_logger  # noqa: PLC0415
    from pipeline.erasure.person import Person  # noqa: PLC0415
    from pipeline.erasure.run import erase, find  # noqa: PLC0415

    settings = Settings()
    person = Person(tenant, user)
    with ready_database(settings) as database_url:
        if dry_run:
            with Progress("looking"):
                found = find(settings, database_url, person)
            print_json({"ok": True, "dry_run": True, "tenant": tenant, "found": found})
            return
        if not yes:
            typer.confirm(f"Erase user {user!r} of tenant {tenant} for good?", abort=True, err=True)

        def drain(before: datetime) -> None:
            empty_spools(settings, database_url, before, make_logger("ERROR"), say=print_line)

        erasure = erase(
            settings,
            database_url,
            person,
            clock=utc_now,
            drain=drain,
            whole_server=settings.database_url is None,
            say=print_line,
        )
    print_line(EXPLANATION)
    print_json({"ok": True, **erasure.certificate, "salt": erasure.salt, "certificate": erasure.kept_at})
