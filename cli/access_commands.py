"""Commands about who may do what: tenant create, list and update; key create, list, rotate and revoke."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated

import psycopg
import typer

from cli.database import ready_database
from cli.output import print_json, print_line
from pipeline.access import keys, tenants
from pipeline.database import connect
from pipeline.settings import Settings

Tenant = Annotated[str, typer.Option("--tenant", help="The tenant's id.")]
KeyId = Annotated[str, typer.Argument(help="The key's public id, as `key list` shows it.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    tenant = typer.Typer(help="Teams that share this installation: create, list, update.", no_args_is_help=True)
    tenant.command("create")(create_tenant)
    tenant.command("list")(list_tenants)
    tenant.command("update")(update_tenant)
    app.add_typer(tenant, name="tenant")
    key = typer.Typer(help="API keys of tenants: create, list, rotate, revoke.", no_args_is_help=True)
    key.command("create")(create_key)
    key.command("list")(list_keys)
    key.command("rotate")(rotate_key)
    key.command("revoke")(revoke_key)
    app.add_typer(key, name="key")


def create_tenant(
    tenant: Annotated[str, typer.Argument(help="Its id: a-z, 0-9, _ and -, at most 63 characters.")],
    name: Annotated[str, typer.Option(help="Its name, for people.")] = "",
) -> None:
    """Make a tenant. It gets keys with `key create`."""
    with _connection() as connection:
        print_json(tenants.create_tenant(connection, tenant, name))


def list_tenants() -> None:
    """Print all tenants and what they are allowed, as JSON."""
    with _connection() as connection:
        print_json(tenants.list_tenants(connection))


def update_tenant(  # noqa: PLR0917 - Typer passes what people give by name
    tenant: Annotated[str, typer.Argument(help="The tenant's id.")],
    name: Annotated[str | None, typer.Option(help="Its name, for people.")] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(help="Requests per second, as events=500; without a number (events=) the default again."),
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(help="An origin whose pages may use its keys, as https://shop.example; all others are dropped."),
    ] = None,
    no_cors: Annotated[bool, typer.Option("--no-cors", help="No page of any origin may use its keys.")] = False,
    hot_days: Annotated[
        int | None, typer.Option(help="Days that Postgres keeps its events; 0: as TIDEMARK_HOT_DAYS says.")
    ] = None,
) -> None:
    """Change what a tenant is allowed; what is not named stays. API processes follow within two seconds."""
    with _connection() as connection:
        print_json(
            tenants.update_tenant(
                connection,
                tenant,
                name=name,
                rate_limits=dict(map(_read_limit, limit or ())),
                cors_origins=() if no_cors else cors_origin,
                hot_days=hot_days,
            )
        )


def create_key(
    tenant: Tenant,
    scopes: Annotated[str, typer.Option(help=f"What it allows, with commas between: {', '.join(keys.SCOPES)}.")],
    name: Annotated[str, typer.Option(help="What it is for, for people.")] = "",
    expires_days: Annotated[int | None, typer.Option(min=1, help="Days after which it ends by itself.")] = None,
) -> None:
    """Make a key and print it as JSON: the only time that it can be read."""
    expires_at = None if expires_days is None else datetime.now(UTC) + timedelta(days=expires_days)
    with _connection() as connection:
        given = [scope.strip() for scope in scopes.split(",") if scope.strip()]
        print_json(keys.create_key(connection, tenant, given, name=name, expires_at=expires_at))
    print_line("This key is shown only now: keep it where secrets are kept.")


def list_keys(tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None) -> None:
    """Print the keys as JSON, without what would let anybody use them."""
    with _connection() as connection:
        print_json(keys.list_keys(connection, tenant))


def rotate_key(
    key_id: KeyId,
    grace_hours: Annotated[float, typer.Option(min=0, help="Hours for which the old key is valid, too.")] = 24,
) -> None:
    """Make a key in the place of another and print it as JSON; for a time of grace both are valid."""
    with _connection() as connection:
        print_json(keys.rotate_key(connection, key_id, grace=timedelta(hours=grace_hours)))
    print_line("This key is shown only now: keep it where secrets are kept.")


def revoke_key(key_id: KeyId) -> None:
    """End a key; every API process refuses it within five seconds."""
    with _connection() as connection:
        print_json(keys.revoke_key(connection, key_id))


@contextmanager
def _connection() -> Iterator[psycopg.Connection]:
    with (
        ready_database(Settings()) as address,
        connect(address, application="tidemark-access", autocommit=True) as connection,
    ):
        yield connection


def _read_limit(text: str) -> tuple[str, float | None]:
    endpoint, sign, number = text.partition("=")
    try:
        return endpoint.strip(), float(number) if number.strip() or not sign else None
    except ValueError:
        raise typer.BadParameter(f"{text!r} must look like events=500", param_hint="--limit") from None
