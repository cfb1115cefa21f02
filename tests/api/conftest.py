"""Fixtures of the API tests: an application in this process, its client and clock, and a Postgres to stop."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from api.app import create_app
from pipeline.settings import Settings
from tests.api.servers import NO_TLS, served
from tests.databases import Postgres, cloned_database, template_server
from tests.makers import NOW

TOKEN = "a-token-of-the-tests"


class SettableClock:
    """A clock that stands still until the test moves it."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock(NOW)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings.model_validate({"database_url": database_url, "dashboard_token": TOKEN, "home": tmp_path})


@pytest.fixture
def client(settings: Settings, clock: SettableClock) -> Iterator[httpx.Client]:
    """A client of the application, which runs for the test and shares its database with `connection`."""
    with served(create_app(settings, clock)) as url, httpx.Client(base_url=url, timeout=30, verify=NO_TLS) as running:
        yield running


@pytest.fixture(scope="session")
def own_server() -> Iterator[Postgres]:
    """A server that only tests use which stop it; fsync is on."""
    with template_server() as server:
        yield Postgres(server)


@pytest.fixture
def postgres(own_server: Postgres) -> Iterator[Postgres]:
    """That server, which runs when a test begins, whatever the one before did to it."""
    own_server.thaw()
    own_server.start()
    yield own_server
    own_server.thaw()


@pytest.fixture
def own_database(postgres: Postgres) -> str:
    """URL of a fresh, migrated database in it."""
    return cloned_database(postgres.url())
