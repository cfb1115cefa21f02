"""A database that is ready to use: the server of DATABASE_URL, or the embedded one; reachable and migrated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext

import psycopg
from psycopg.conninfo import conninfo_to_dict

from cli.embedded_postgres import EmbeddedPostgres
from cli.postgres_binaries import MINIMUM_MAJOR
from cli.postgres_lease import leased
from cli.progress import step
from pipeline.database import connect
from pipeline.migrations import migrate
from pipeline.settings import Settings

SHAPE = "postgresql://user:password@host:5432/database"
# What libpq and the server say -> what to do about it.
REMEDIES = {
    "password authentication failed": "the user or password is wrong",
    "no password supplied": "the server wants a password; add it after the user, as in " + SHAPE,
    "does not exist": "create it first, or name one that exists",
    "Connection refused": "no server listens there; start it, or check host and port",
    "could not translate host name": "check the host name",
    "failed to resolve host": "check the host name",
    "Name or service not known": "check the host name",
    "timeout": "the host does not answer; check host, port and firewall",
    "no pg_hba.conf entry": "the server does not admit this user from here; check its pg_hba.conf",
    "SSL": "check the sslmode parameter",
    "too many clients": "the server has no connection left; raise its max_connections",
}


class DatabaseUnavailableError(Exception):
    """The server of DATABASE_URL cannot be used."""


@contextmanager
def ready_database(settings: Settings) -> Iterator[str]:
    """Yield the URL of a reachable, migrated Postgres.

    DATABASE_URL if it is set; else the embedded server, started when needed, shared with other commands, and stopped
    at the end when nobody else uses it. Raises DatabaseUnavailableError, within about 5 seconds, or what
    EmbeddedPostgres and `migrate` raise.
    """
    with reachable_database(settings) as url:
        migrate(url)
        yield url


@contextmanager
def reachable_database(settings: Settings) -> Iterator[str]:
    """Yield the URL of a reachable Postgres as `ready_database` does, without migrating it."""
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        check_reachable(url)
        yield url
        return
    server = embedded_postgres(settings)
    with ExitStack() as stack:
        with nullcontext() if server.exists else step("Making the embedded Postgres (once)"):
            url = stack.enter_context(leased(server))
        yield url


def embedded_postgres(settings: Settings) -> EmbeddedPostgres:
    """Return the embedded server of these settings, running or not."""
    return EmbeddedPostgres(settings.home / "postgres", binaries=settings.postgres_binaries)


def check_reachable(url: str) -> int:
    """Connect once and return the server's major version.

    Raises DatabaseUnavailableError with one line that names what failed, without the password.
    """
    if not url.startswith(("postgresql://", "postgres://")):
        raise DatabaseUnavailableError(f"DATABASE_URL must look like {SHAPE}")
    try:
        conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        said = _masked(_first_line(str(error)), url)
        raise DatabaseUnavailableError(f"DATABASE_URL cannot be read ({said}); it must look like {SHAPE}") from None
    try:
        with connect(url) as connection:
            number = connection.info.server_version
    except psycopg.Error as error:
        said = _masked(_first_line(str(error)), url)
        remedy = next((text for sign, text in REMEDIES.items() if sign in str(error)), "")
        raise DatabaseUnavailableError(
            f"DATABASE_URL {masked_url(url)}: {said}" + (f"; {remedy}" if remedy else "")
        ) from None
    major = number // 10_000
    if major < MINIMUM_MAJOR:
        raise DatabaseUnavailableError(
            f"DATABASE_URL {masked_url(url)}: the server is Postgres {major}; Tidemark needs {MINIMUM_MAJOR} or newer"
        )
    return major


def masked_url(url: str) -> str:
    """Return the URL with its password replaced by `***`."""
    masked = re.sub(r"(?<=://)([^:/@]*):.*@(?=[^@]*$)", r"\1:***@", url)
    return re.sub(r"(?<=password=)[^&]*", "***", masked)


def _masked(text: str, url: str) -> str:
    """Return an error's text without the URL's password, should it have slipped in."""
    password = re.search(r"://[^:/@]*:(.*)@[^@]*$", url)
    return text.replace(password[1], "***") if password and password[1] else text


def _first_line(text: str) -> str:
    line = next((line.strip() for line in text.splitlines() if line.strip()), "connection failed")
    return line.removeprefix("connection failed: ")
