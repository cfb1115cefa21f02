"""Assignment while Postgres is frozen, stopped and back: an answer within two seconds, whatever it is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg

from api.app import create_app
from pipeline.settings import Settings
from tests.api.conftest import SettableClock
from tests.api.servers import NO_TLS, served
from tests.databases import Postgres
from tests.makers import NOW, add_experiment
from tests.waiting import wait_until

# The promise is two seconds; the rest is for a busy machine. A server that hangs would take ten.
PATIENCE = 4.0
UNAVAILABLE = {
    "error": "Service Unavailable",
    "message": "Database is temporarily unavailable. Please retry.",
}


def ask(client: httpx.Client, user: str) -> httpx.Response:
    return client.post("/v1/assignment", json={"anonymous_user_id": user})


def ask_many(client: httpx.Client, prefix: str) -> list[httpx.Response]:
    """32 users at once."""
    with ThreadPoolExecutor(32) as pool:
        return list(pool.map(lambda number: ask(client, f"{prefix}_{number}"), range(32)))


def assert_all_unavailable(responses: list[httpx.Response]) -> None:
    assert {response.status_code for response in responses} == {503}
    assert all(response.json() == UNAVAILABLE for response in responses)
    assert all(int(response.headers["retry-after"]) > 0 for response in responses)


def test_a_frozen_and_a_stopped_postgres_give_503_in_time_and_nothing_is_left_behind(
    postgres: Postgres, own_database: str, tmp_path: Path
) -> None:
    url = own_database
    with psycopg.connect(url, autocommit=True) as connection:
        add_experiment(connection, "exp", {"A": 0.5, "B": 0.5})
    app = create_app(Settings.model_validate({"database_url": url, "home": tmp_path}), SettableClock(NOW))
    limits = httpx.Limits(max_connections=64)
    with (
        served(app) as address,
        httpx.Client(base_url=address, timeout=PATIENCE, limits=limits, verify=NO_TLS) as client,
    ):
        before = ask_many(client, "before")
        assert {response.status_code for response in before} == {200}
        experiments = app.services.experiments
        assert experiments.running_ids("default") == ("exp",)

        postgres.freeze()
        try:
            for wave in range(4):
                assert_all_unavailable(ask_many(client, f"frozen_{wave}"))
                assert client.get("/health").status_code == 200
            assert experiments.running_ids("default") == ("exp",)
        finally:
            postgres.thaw()
        wait_until(lambda: ask(client, "thawed").status_code == 200, "an answer after the freeze")

        postgres.stop()
        assert_all_unavailable(ask_many(client, "stopped"))
        assert experiments.running_ids("default") == ("exp",)
        postgres.start()
        wait_until(lambda: ask(client, "restarted").status_code == 200, "an answer after the restart")

        after = ask_many(client, "before")
        assert [response.json() for response in after] == [response.json() for response in before]
        with psycopg.connect(url) as connection:
            held = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tidemark-api'"
            ).fetchone()
        assert held is not None
        assert held[0] <= 8
