"""A server where Tidemark is no superuser: its user owns the tables, and the walls hold for its API all the same."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg import sql

from api.app import create_app
from pipeline.export.run import export
from pipeline.lake.table import Lake
from pipeline.migrations import migrate
from pipeline.rollups.jobs import JOBS, Window
from pipeline.rollups.run import roll_up
from pipeline.settings import Settings
from tests.api.servers import NO_TLS, served
from tests.api.tenants import key_header, tenant_key
from tests.api.vectors import event
from tests.databases import bare_server
from tests.makers import NOW


@pytest.fixture
def owned_database(postgres_server: str) -> Iterator[str]:
    """URL of an empty database for its owner, who may make roles and nothing else that is special."""
    name = f"owned_{uuid.uuid4().hex}"
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEROLE PASSWORD 'x'").format(sql.Identifier(name)))
        admin.execute(sql.SQL("GRANT tidemark_app TO {}").format(sql.Identifier(name)))
        admin.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(sql.Identifier(name)))
        host = postgres_server.rsplit("@", 1)[1]
        yield f"postgresql://{name}:x@{host}/{name}"
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_everything_works_for_an_owner_who_is_no_superuser(owned_database: str, tmp_path: Path) -> None:
    migrate(owned_database)
    settings = Settings.model_validate({"database_url": owned_database, "home": tmp_path})
    with psycopg.connect(owned_database, autocommit=True) as connection:
        assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)
        keys = {tenant: tenant_key(connection, tenant) for tenant in ("ann", "bob")}
        with (
            served(create_app(settings, lambda: NOW)) as url,
            httpx.Client(base_url=url, timeout=30, verify=NO_TLS) as client,
        ):
            for tenant, key in keys.items():
                batch = {"anonymous_user_id": tenant, "events": [event(event_id=str(uuid.uuid4())), {}]}
                answer = client.post("/v1/events", json=batch, headers=key_header(key))
                assert (answer.json()["accepted"], answer.json()["rejected"]) == (1, 1)
            lake = Lake(settings.lake)
            assert export(owned_database, lake).rows == 2
            roll_up(settings, owned_database, list(JOBS), Window.ending(NOW, 2), NOW)
            for tenant, key in keys.items():
                daily = client.get("/v1/metrics/daily", headers=key_header(key)).json()
                assert [day["metrics"]["dau"] for day in daily["days"]] == [1, 0], tenant
        letters = connection.execute("SELECT tenant_id, count(*) FROM dead_letters GROUP BY 1 ORDER BY 1").fetchall()
        assert letters == [("ann", 1), ("bob", 1)]


def test_who_may_not_make_roles_is_told_what_an_administrator_has_to_do() -> None:
    """On a server of its own: roles belong to all databases of one."""
    with bare_server(fsync="off") as server:
        admin_url = server.url()
        with psycopg.connect(admin_url, autocommit=True) as admin:
            admin.execute("CREATE ROLE plain LOGIN PASSWORD 'x'")
            admin.execute("CREATE DATABASE plain OWNER plain")
            url = f"postgresql://plain:x@{admin_url.rsplit('@', 1)[1].rsplit('/', 1)[0]}/plain"
            with pytest.raises(psycopg.Error, match="role tidemark_app is missing") as refusal:
                migrate(url)
            told = "CREATE ROLE tidemark_app NOLOGIN; GRANT tidemark_app TO plain;"
            assert told in str(refusal.value.diag.message_hint)
            admin.execute(told)
        assert migrate(url)[-1].startswith("00")
