"""Fixtures of the dashboard's tests: one server a file, with two tenants and what was published for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import psycopg
import pytest

from api.app import create_app
from pipeline.access.tenants import create_tenant
from pipeline.settings import Settings
from tests.api.conftest import TOKEN, SettableClock
from tests.api.dashboard.inhabited import inhabit
from tests.api.dashboard.publishing import Publication, publish
from tests.api.servers import NO_TLS, served
from tests.api.tenants import tenant_key
from tests.databases import migrated_database
from tests.makers import NOW, add_experiment

NOON = NOW + timedelta(hours=12)


@dataclass(frozen=True)
class World:
    """A server whose clock the test moves; `read_key` belongs to tenant acme, which is not the default one."""

    url: str
    home: Path
    clock: SettableClock
    connection: psycopg.Connection
    read_key: str
    ingest_key: str
    clients: ExitStack

    def client(self, secret: str | None = TOKEN, address: str = "203.0.113.1") -> httpx.Client:
        """A browser without script, signed in with a secret unless that is None; redirects are not followed."""
        headers = {"x-forwarded-for": address}
        client = self.clients.enter_context(httpx.Client(base_url=self.url, timeout=30, verify=NO_TLS, headers=headers))
        if secret is not None:
            answer = client.post("/login", data={"token": secret})
            assert (answer.status_code, answer.headers["location"]) == (303, "/overview"), answer.text
        return client


@pytest.fixture(scope="module")
def world(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Tenants default and acme with 60 days of numbers, and tenant empty with none."""
    home = tmp_path_factory.mktemp("home")
    with migrated_database(postgres_server) as url, psycopg.connect(url, autocommit=True) as connection:
        read_key = tenant_key(connection, "acme", ["read"])
        ingest_key = tenant_key(connection, "acme", ["ingest"])
        create_tenant(connection, "empty")
        for tenant_id in ("default", "acme"):
            publish(connection, Publication(tenant_id, NOON))
        add_experiment(connection, "exp", {"A": 1, "B": 1})
        add_experiment(connection, "secret_exp", {"A": 1, "B": 1}, tenant_id="acme")
        clock = SettableClock(NOON)
        settings = Settings.model_validate({"database_url": url, "dashboard_token": TOKEN, "home": home})
        with served(create_app(settings, clock)) as served_at, ExitStack() as clients:
            yield World(served_at, home, clock, connection, read_key, ingest_key, clients)


@pytest.fixture(scope="module")
def lived(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Tenants default and acme with events, refused ones and a refresh; tenant empty without any."""
    home = tmp_path_factory.mktemp("home")
    with migrated_database(postgres_server) as url, psycopg.connect(url, autocommit=True) as connection:
        read_key = tenant_key(connection, "acme", ["read"])
        manage_key = tenant_key(connection, "acme", ["read", "manage"])
        create_tenant(connection, "empty")
        settings = Settings.model_validate({"database_url": url, "dashboard_token": TOKEN, "home": home})
        inhabit(settings, connection, NOON)
        inhabit(settings, connection, NOON, "acme", days=5, events=90)
        clock = SettableClock(NOON)
        with served(create_app(settings, clock)) as served_at, ExitStack() as clients:
            yield World(served_at, home, clock, connection, read_key, manage_key, clients)
