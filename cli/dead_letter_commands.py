"""`dead-letters list` and `dead-letters replay`: events that were refused, and a second chance for them.

What reads events is imported by the command that needs it: every other command starts faster without.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from cli.database import ready_database
from cli.output import print_json, print_line
from cli.progress import Progress
from pipeline.database import connect
from pipeline.settings import Settings

if TYPE_CHECKING:
    from api.ingestion.replay import ReplayResult
    from pipeline.ingestion.dead_letters import KeptLetter

SHOWN_CHARACTERS = 300
SHOWN_REFUSALS = 20
# Fields that name a person, a device or a session, wherever they are.
_IDENTIFIER = re.compile(r'("(?:\w*_id|id)"\s*:\s*")((?:[^"\\]|\\.)*)', re.IGNORECASE)

Tenant = Annotated[str | None, typer.Option(help="Letters of one tenant only.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    letters = typer.Typer(help="Refused events: list them, and replay them after a fix.", no_args_is_help=True)
    letters.command("list")(list_command)
    letters.command("replay")(replay_command)
    app.add_typer(letters, name="dead-letters")


def list_command(
    tenant: Tenant = None,
    limit: Annotated[int, typer.Option(min=0, max=10_000, help="How many to show, the newest first.")] = 20,
    reason: Annotated[
        str | None, typer.Option(help="Only those with this text in their reason.", show_default=False)
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Show ids unmasked, and events to their end.")] = False,
) -> None:
    """Show refused events with their reasons, and how many were kept, replayed and dropped."""
    from pipeline.ingestion.dead_letters import find, read_accounts  # noqa: PLC0415

    with (
        ready_database(Settings()) as database_url,
        connect(database_url, application="tidemark-dead-letters", autocommit=True) as connection,
    ):
        total, letters = find(connection, tenant_id=tenant, reason=reason, letters=limit)
        accounts = read_accounts(connection, tenant)
    print_json(
        {
            "ok": True,
            "total": total,
            "letters": [_shown(kept, full=full) for kept in letters],
            "tenants": [account._asdict() for account in accounts],
        }
    )


def replay_command(
    ids: Annotated[
        list[int] | None, typer.Option("--id", help="A letter to replay; may be repeated.", show_default=False)
    ] = None,
    tenant: Tenant = None,
    every: Annotated[bool, typer.Option("--all", help="Replay the letters of all tenants.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and change nothing.")] = False,
) -> None:
    """Store refused events that are acceptable by now, and remove their letters; the others stay (exit code 1)."""
    from api.ingestion.replay import replay  # noqa: PLC0415
    from pipeline.ingestion.dead_letters import Selection  # noqa: PLC0415

    if sum((bool(ids), tenant is not None, every)) != 1:
        raise typer.BadParameter("say which letters: --id (once or more), --tenant or --all")
    selection = Selection(tuple(ids) if ids else None, tenant)
    with (
        ready_database(Settings()) as database_url,
        connect(database_url, application="tidemark-dead-letters", autocommit=True) as connection,
        Progress("replaying", unit="letters") as progress,
    ):
        result = replay(connection, selection, dry_run=dry_run, letters_done=progress.update)
    absent = sorted(set(ids or ()) - result.seen)
    _explain(result, absent)
    print_json(
        {
            "ok": not result.refused,
            "dry_run": dry_run,
            "replayed": result.replayed,
            "stored": result.stored,
            "duplicate": result.duplicate,
            "refused": result.refused,
            "absent": absent,
        }
    )
    if result.refused:
        raise typer.Exit(1)


def _explain(result: ReplayResult, absent: list[int]) -> None:
    for refusal in result.refused[:SHOWN_REFUSALS]:
        print_line(f"letter {refusal.id} of tenant {refusal.tenant_id} stays: {refusal.reason}")
    if len(result.refused) > SHOWN_REFUSALS:
        print_line(f"{len(result.refused) - SHOWN_REFUSALS} more stay; the output on stdout has all of them")
    if absent:
        print_line(f"no such letters (any more): {', '.join(map(str, absent))}")


def _shown(kept: KeptLetter, *, full: bool) -> dict[str, object]:
    letter = kept.letter
    return {
        "id": kept.id,
        "tenant": letter.tenant_id,
        "received_at": letter.received_at,
        "protocol": letter.protocol,
        "event_index": letter.event_index,
        "reason": letter.reason,
        "bytes": letter.size,
        "envelope": _text(letter.envelope, full=full),
        "event": _text(letter.event, full=full),
    }


def _text(content: bytes, *, full: bool) -> str:
    """Return bytes as text; what is no UTF-8 as escapes. The JSON around it escapes what a terminal would obey."""
    from api.identifiers import mask  # noqa: PLC0415

    text = content.decode("utf-8", "backslashreplace")
    if full:
        return text
    text = _IDENTIFIER.sub(lambda found: found[1] + mask(found[2]), text)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
