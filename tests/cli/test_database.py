"""`ready_database` yields a migrated server, or says in one line why there is none."""

from __future__ import annotations

import socket
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from cli.database import DatabaseUnavailableError, check_reachable, masked_url, ready_database
from pipeline.settings import Settings


def settings(url: str | None, home: Path) -> Settings:
    return Settings(home=home, database_url=None if url is None else SecretStr(url))


def changed(url: str, **parts: str) -> str:
    """The URL with its `password` or `database` replaced."""
    credentials, address = url.split("@")
    user = credentials.split("://")[1].split(":")[0]
    password = parts.get("password", credentials.rsplit(":", 1)[1])
    host, database = address.split("/")
    return f"postgresql://{user}:{password}@{host}/{parts.get('database', database)}"


def test_an_external_server_is_migrated(postgres_server: str, tmp_path: Path) -> None:
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE never_migrated")
        try:
            with (
                ready_database(settings(f"{postgres_server}/never_migrated", tmp_path)) as url,
                psycopg.connect(url) as migrated,
            ):
                assert migrated.execute("SELECT count(*) FROM event_logs").fetchone() == (0,)
        finally:
            connection.execute("DROP DATABASE never_migrated WITH (FORCE)")
    assert list(tmp_path.iterdir()) == [], "no embedded server was made"


def test_the_wrong_password_is_named_and_not_shown(database_url: str) -> None:
    with pytest.raises(DatabaseUnavailableError, match="the user or password is wrong") as raised:
        check_reachable(changed(database_url, password="hunter2"))
    assert "hunter2" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_unknown_database_is_named(database_url: str) -> None:
    with pytest.raises(DatabaseUnavailableError, match='"nowhere" does not exist; create it first'):
        check_reachable(changed(database_url, database="nowhere"))


def test_a_refused_connection_names_host_and_port() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        with pytest.raises(DatabaseUnavailableError, match=rf"127\.0\.0\.1.*{port}.*no server listens there"):
            check_reachable(f"postgresql://u:p@127.0.0.1:{port}/d")


def test_a_server_that_never_answers_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.database.CONNECT_TIMEOUT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(DatabaseUnavailableError, match="the host does not answer"):
            check_reachable(f"postgresql://u:p@127.0.0.1:{port}/d")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://u:secret@h/d", "DATABASE_URL must look like postgresql://"),
        ("postgresql+psycopg2://u:secret@h/d", "DATABASE_URL must look like postgresql://"),
        ("host=localhost dbname=d", "DATABASE_URL must look like postgresql://"),
        ("postgresql://u:%zzsecret@h/d", "DATABASE_URL cannot be read"),
        ("postgresql://u:secret@nosuchhost.invalid/d", "check the host name"),
    ],
)
def test_a_url_that_cannot_work_is_refused(url: str, message: str) -> None:
    with pytest.raises(DatabaseUnavailableError, match=message) as raised:
        check_reachable(url)
    assert "secret" not in str(raised.value)


def test_a_server_too_old_is_refused(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.database.MINIMUM_MAJOR", 99)
    with pytest.raises(DatabaseUnavailableError, match=r"the server is Postgres \d+; Tidemark needs 99 or newer"):
        check_reachable(database_url)


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("postgresql://u:secret@h:1/d", "postgresql://u:***@h:1/d"),
        ("postgresql://u:se@cr:et@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u@h/d?password=secret&x=1", "postgresql://u@h/d?password=***&x=1"),
        ("postgresql://h/d", "postgresql://h/d"),
    ],
)
def test_passwords_are_masked(url: str, masked: str) -> None:
    assert masked_url(url) == masked
