"""Fixtures of the fault tests: an API in front of a fresh database in a Postgres that they may kill, with fsync on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.api.faults.ledger import ClientLedger
from tests.api.faults.load import USERS
from tests.api.faults.system import Api
from tests.databases import Postgres
from tests.makers import add_experiment, assign


@pytest.fixture
def database_url(own_database: str) -> str:
    """A fresh database in which every other user of the load is assigned to a running experiment."""
    with psycopg.connect(own_database) as connection:
        add_experiment(connection, "exp_running", {"a": 0.5, "b": 0.5})
        assign(connection, [f"user_{number}" for number in range(0, USERS, 2)], "exp_running", "a")
    return own_database


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
