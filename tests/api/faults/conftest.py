"""Fixtures of the fault tests: an own Postgres with fsync on, and an API in front of a fresh database in it."""

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
from tests.api.faults.ledger import ClientLedger
from tests.api.faults.load import USERS
from tests.api.faults.system import Api, Postgres
from tests.makers import add_experiment, assign


@pytest.fixture(scope="session")
def own_server() -> Iterator[EmbeddedPostgres]:
    """A server that only these tests use."""
    folder = Path(tempfile.mkdtemp(prefix="tidemark-faults-"))
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "postgres")
    url = server.start()
    migrate(url)
    with psycopg.connect(url, autocommit=True) as connection:
        add_experiment(connection, "exp_running", {"a": 0.5, "b": 0.5})
        assign(connection, [f"user_{number}" for number in range(0, USERS, 2)], "exp_running", "a")
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres(own_server: EmbeddedPostgres) -> Iterator[Postgres]:
    """The server, which runs when a test begins, whatever the one before did to it."""
    postgres = Postgres(own_server)
    postgres.thaw()
    postgres.start()
    yield postgres
    postgres.thaw()


@pytest.fixture
def database_url(postgres: Postgres) -> str:
    """A fresh database; it goes with the server."""
    server = postgres.server.url().rsplit("/", 1)[0]
    name = f"faults_{uuid.uuid4().hex}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE tidemark".encode())
    return f"{server}/{name}"


@pytest.fixture
def api(database_url: str, postgres: Postgres, tmp_path: Path) -> Iterator[Api]:
    """An API that the test starts."""
    api = Api(tmp_path, database_url)
    yield api
    postgres.thaw()
    api.kill()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[ClientLedger]:
    """The client's ledger."""
    ledger = ClientLedger(tmp_path / "ledger")
    yield ledger
    ledger.close()
