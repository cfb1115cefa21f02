"""Fixtures shared by all tests: a real Postgres, and an empty migrated database for each test that asks for one."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from cli.embedded_postgres import EmbeddedPostgres
from pipeline.migrations import migrate


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a Postgres of this test run, without a database name at its end.

    Its files lie directly under the system's temporary folder: pytest's own is closed to the user Postgres runs as.
    """
    folder = Path(tempfile.mkdtemp(prefix="tidemark-test-"))
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "postgres", options={"fsync": "off", "max_connections": "200"})
    url = server.start().rsplit("/", 1)[0]
    migrate(f"{url}/tidemark")
    yield url
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database_url(postgres_server: str) -> Iterator[str]:
    """URL of a fresh, migrated database with nothing in it but the default tenant."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE tidemark".encode())
        yield f"{postgres_server}/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    """An autocommit connection to the test's database."""
    with psycopg.connect(database_url, autocommit=True) as open_connection:
        yield open_connection
