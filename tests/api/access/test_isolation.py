"""The two walls between tenants: every query is scoped, and row-level security holds where one would not be."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import Iterator
from typing import Any, LiteralString

import httpx
import psycopg
import pytest
from psycopg import AsyncConnection, errors, sql

import api.database as database_module
from api.app import create_app
from api.database import Database
from pipeline.database import APP_ROLE, connect
from pipeline.ingestion.event_store import store
from pipeline.settings import Settings
from tests.api.conftest import TOKEN
from tests.api.servers import NO_TLS, served
from tests.api.tenants import key_header, tenant_key
from tests.makers import NOW, add_experiment, event_rows

SCOPED = "SELECT c.relname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'tenant_id'"
TABLES = f"{SCOPED} WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace ORDER BY 1"
# Only owners read these: the API learns of keys through a function, and knows nothing of the others.
CLOSED = {"api_keys", "erasures"}


@pytest.fixture
def two_tenants(connection: psycopg.Connection) -> Iterator[dict[str, str]]:
    """Keys of two tenants that both have events, visits, experiments, assignments and published numbers."""
    keys = {tenant: tenant_key(connection, tenant) for tenant in ("ann", "bob")}
    run_id = connection.execute(
        "INSERT INTO rollup_runs (job_name, status, window_start, window_end, as_of, code_version, sql_sha256)"
        " VALUES ('daily_metrics_rollup', 'SUCCESS', now(), now(), now(), 'x', 'x') RETURNING run_id"
    ).fetchone()
    assert run_id is not None
    for tenant in keys:
        add_experiment(connection, f"exp_{tenant}", {"A": 1.0}, tenant_id=tenant)
        connection.execute(
            "INSERT INTO assignments (tenant_id, anonymous_user_id, experiment_id, variant_id)"
            " VALUES (%s, 'shared', %s, 'A')",
            [tenant, f"exp_{tenant}"],
        )
        store(connection, [row._replace(tenant_id=tenant) for row in event_rows(20, seed=ord(tenant[0]))])
        connection.execute(
            "INSERT INTO daily_metric_rollups (tenant_id, day, metric_name, value, run_id)"
            " VALUES (%s, %s, 'dau', %s, %s)",
            [tenant, NOW.date(), 111 if tenant == "ann" else 222, run_id[0]],
        )
        connection.execute(
            "INSERT INTO funnel_rollups (tenant_id, day, funnel_name, step_name, users_count, events_count, run_id)"
            " VALUES (%s, %s, %s, 'one', 1, 1, %s)",
            [tenant, NOW.date(), f"funnel_{tenant}", run_id[0]],
        )
    connection.commit()
    yield keys


def tables(connection: psycopg.Connection) -> list[str]:
    return [name for (name,) in connection.execute(TABLES.encode()).fetchall()]


def query(text: LiteralString, table: str) -> sql.Composed:
    return sql.SQL(text).format(sql.Identifier(table))


def test_every_table_with_a_tenant_is_behind_the_wall(connection: psycopg.Connection) -> None:
    state = connection.execute(
        "SELECT relname, relrowsecurity AND relforcerowsecurity FROM pg_class WHERE relname = ANY(%s)",
        [tables(connection)],
    ).fetchall()
    assert {name for name, forced in state if not forced} == CLOSED
    for name in CLOSED:
        granted = connection.execute("SELECT has_table_privilege(%s, %s, 'SELECT')", [APP_ROLE, name]).fetchone()
        assert granted == (False,), name


def test_the_role_of_the_application_owns_nothing_and_may_not_look_past_the_wall(
    connection: psycopg.Connection,
) -> None:
    role = connection.execute(
        "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolcanlogin FROM pg_roles WHERE rolname = %s",
        [APP_ROLE],
    ).fetchone()
    assert role == (False,) * 5
    owned = connection.execute("SELECT count(*) FROM pg_class WHERE relowner = %s::regrole", [APP_ROLE]).fetchone()
    assert owned == (0,)


def test_the_application_sees_the_tenants_in_its_scope_alone_also_without_a_where_clause(
    database_url: str, connection: psycopg.Connection, two_tenants: dict[str, str]
) -> None:
    readable = [name for name in tables(connection) if name not in CLOSED]
    everything = {}
    for name in readable:
        everything[name] = set(connection.execute(query("SELECT DISTINCT tenant_id FROM {}", name)).fetchall())
    assert {name for name, found in everything.items() if {("ann",), ("bob",)} <= found} >= {
        "event_logs", "experiments", "assignments", "daily_metric_rollups", "ingestion_ledger", "tenants",
    }  # fmt: skip
    with connect(database_url, autocommit=True, role=APP_ROLE) as app:
        assert app.execute("SELECT current_user").fetchone() == (APP_ROLE,)
        for scope in ((), ("ann",), ("bob",), ("ann", "bob"), ("nobody",)):
            app.scope(scope)
            for name in readable:
                seen = set(app.execute(query("SELECT DISTINCT tenant_id FROM {}", name)).fetchall())
                assert seen == everything[name] & {(tenant,) for tenant in scope}, (name, scope)


def test_a_session_that_was_never_scoped_sees_nothing(
    database_url: str, two_tenants: dict[str, str], connection: psycopg.Connection
) -> None:
    with connect(database_url, autocommit=True, role=APP_ROLE) as app:
        for name in tables(connection):
            if name not in CLOSED:
                assert app.execute(query("SELECT count(*) FROM {}", name)).fetchone() == (0,), name
        for name in CLOSED:
            with pytest.raises(errors.InsufficientPrivilege):
                app.execute(query("SELECT count(*) FROM {}", name))


def test_the_application_cannot_write_into_another_tenant(database_url: str, two_tenants: dict[str, str]) -> None:
    with connect(database_url, autocommit=True, role=APP_ROLE) as app:
        app.scope(["ann"])
        with pytest.raises(errors.InsufficientPrivilege):
            app.execute(
                "INSERT INTO assignments (tenant_id, anonymous_user_id, experiment_id, variant_id)"
                " VALUES ('bob', 'u', 'e', 'A')"
            )
        with pytest.raises(errors.InsufficientPrivilege):
            app.execute("UPDATE experiments SET tenant_id = 'bob'")
        assert app.execute("UPDATE experiments SET status = 'PAUSED' WHERE tenant_id = 'bob'").rowcount == 0
        with pytest.raises(errors.InsufficientPrivilege):
            store(app, [row._replace(tenant_id="bob") for row in event_rows(1)])
        for forbidden in (
            "DELETE FROM event_logs", "UPDATE daily_metric_rollups SET value = 0", "TRUNCATE assignments",
            "ALTER TABLE event_logs DISABLE ROW LEVEL SECURITY", "DELETE FROM api_keys", "UPDATE tenants SET name = ''",
        ):  # fmt: skip
            with pytest.raises(errors.InsufficientPrivilege):
                app.execute(forbidden.encode())


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from itertools.chain.from_iterable(texts(part) for part in (*value.keys(), *value.values()))
    elif isinstance(value, list):
        yield from itertools.chain.from_iterable(map(texts, value))
    else:
        yield json.dumps(value)


def test_no_endpoint_shows_a_tenant_what_is_anothers(
    settings: Settings, two_tenants: dict[str, str], connection: psycopg.Connection
) -> None:
    queries = [
        "/v1/metrics/summary", "/v1/metrics/daily", "/v1/metrics/experiments",
        "/v1/metrics/experiments?experiment_id=exp_bob", "/v1/metrics/funnels",
        "/v1/metrics/funnels?funnel_name=funnel_bob", "/v1/metrics/funnels/ordered?funnel_name=funnel_bob",
        "/v1/metrics/retention", "/stats?site_id=shop_bob", "/api/analytics/summary?experimentId=exp_bob",
    ]  # fmt: skip
    with (
        served(create_app(settings, lambda: NOW)) as url,
        httpx.Client(base_url=url, timeout=30, verify=NO_TLS) as client,
    ):
        for query in queries:
            answer = client.get(query, headers=key_header(two_tenants["ann"]))
            assert answer.status_code == 200, (query, answer.text)
            shown = [text for text in texts(answer.json()) if text != '"shop_bob"']  # the question itself
            assert not [text for text in shown if "bob" in text or text == "222"], query
        daily = client.get("/v1/metrics/daily", headers=key_header(two_tenants["bob"])).json()
        assert daily["days"][0]["metrics"]["dau"] == 222
        assert client.get("/v1/metrics/daily", headers={"x-dashboard-token": TOKEN}).json()["days"] == []
        # The runs are the operator's: no tenant's key opens them.
        assert client.get("/v1/runs", headers=key_header(two_tenants["ann"])).status_code == 401
        assigned = client.post(
            "/v1/assignment", json={"anonymous_user_id": "shared"}, headers=key_header(two_tenants["ann"])
        )
        assert [each["experiment_id"] for each in assigned.json()["assignments"]] == ["exp_ann"]


def test_a_thousand_interleaved_requests_over_a_pool_of_two_do_not_mix(
    database_url: str, two_tenants: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "POOL_SIZE", 2)
    monkeypatch.setattr(database_module, "CONNECTION_SECONDS", 60.0)
    chance = random.Random(5)
    scopes = [chance.choice([("ann",), ("bob",), ("ann", "bob"), ()]) for _ in range(1_000)]

    async def seen(connection: AsyncConnection) -> tuple[int, set[str]]:
        pid = connection.info.backend_pid
        rows = await (await connection.execute("SELECT DISTINCT tenant_id FROM event_logs")).fetchall()
        return pid, {tenant for (tenant,) in rows}

    async def run() -> list[tuple[int, set[str]]]:
        database = Database(database_url)
        await database.open()
        found = await asyncio.gather(*(database.run(seen, scope, seconds=60) for scope in scopes))
        await database.close()
        return found

    found = asyncio.run(run())
    assert len({pid for pid, _ in found}) == 2
    assert [tenants for _, tenants in found] == [set(scope) for scope in scopes]
