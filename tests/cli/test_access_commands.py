"""The commands about tenants and keys, as an operator types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from cli.running_system import DemoKeyError, running_api
from pipeline.access.keys import DEMO_KEY, create_demo_key, has_demo_key, revoke_key
from pipeline.settings import REPOSITORY, Settings


@pytest.fixture
def tidemark(database_url: str, tmp_path: Path):
    def run(*arguments: str) -> tuple[int, object, str]:
        done = subprocess.run(
            [sys.executable, "-m", "cli", *arguments],
            cwd=REPOSITORY,
            env={**os.environ, "DATABASE_URL": database_url, "TIDEMARK_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr

    return run


def test_from_a_tenant_to_a_revoked_key(tidemark) -> None:
    assert tidemark("tenant", "create", "acme", "--name", "Acme")[1]["tenant_id"] == "acme"
    code, key, err = tidemark("key", "create", "--tenant", "acme", "--scopes", "ingest,read")
    assert code == 0
    assert set(key) == {"key_id", "key", "tenant", "scopes", "name", "expires_at"}
    assert (key["tenant"], key["scopes"]) == ("acme", ["ingest", "read"])
    assert key["key"].startswith(f"{key['key_id']}-")
    assert len(key["key"].rpartition("-")[2]) == 64
    assert "shown only now" in err
    new = tidemark("key", "rotate", key["key_id"], "--grace-hours", "1")[1]
    assert new["scopes"] == key["scopes"]
    assert tidemark("key", "revoke", key["key_id"])[1]["revoked_at"]
    listed = tidemark("key", "list", "--tenant", "acme")[1]
    assert [(each["key_id"], each["successor"]) for each in listed] == [
        (key["key_id"], new["key_id"]), (new["key_id"], None),
    ]  # fmt: skip
    assert key["key"].rpartition("-")[2] not in json.dumps(listed)


def test_what_cannot_be_done_is_said_in_a_line(tidemark) -> None:
    for arguments, said in (
        (("key", "create", "--tenant", "nobody", "--scopes", "read"), "there is no tenant nobody"),
        (("key", "create", "--tenant", "default", "--scopes", "root"), "unknown scope 'root'"),
        (("key", "revoke", "tm_0"), "there is no key tm_0"),
        (("tenant", "create", "A B"), "a tenant's id has"),
        (("tenant", "create", "default"), "already"),
        (("tenant", "update", "default", "--limit", "everything=1"), "there is no limit for 'everything'"),
    ):
        code, out, err = tidemark(*arguments)
        assert (code, out) == (1, None)
        assert said in err
    assert tidemark("tenant", "update", "default", "--limit", "events=x")[0] == 2


def test_terms_of_a_tenant(tidemark) -> None:
    changed = tidemark(
        "tenant", "update", "default", "--limit", "events=500", "--hot-days", "9", "--cors-origin", "https://a.example"
    )[1]
    assert (changed["rate_limits"], changed["hot_days"]) == ({"events": 500.0}, 9)
    assert changed["cors_origins"] == ["https://a.example"]
    back = tidemark("tenant", "update", "default", "--limit", "events=", "--hot-days", "0", "--no-cors")[1]
    assert (back["rate_limits"], back["hot_days"], back["cors_origins"]) == ({}, None, [])
    assert tidemark("tenant", "list")[1] == [back]


def test_the_demos_key_starts_nothing_but_the_demo(
    connection: psycopg.Connection, database_url: str, tmp_path: Path
) -> None:
    settings = Settings.model_validate({"database_url": database_url, "home": tmp_path, "port": 1})
    create_demo_key(connection, "default")
    create_demo_key(connection, "default")
    with pytest.raises(DemoKeyError, match="key revoke test-api-key"), running_api(settings):
        pass
    revoke_key(connection, DEMO_KEY.rpartition("-")[0])
    assert not has_demo_key(connection)
    create_demo_key(connection, "default")
    assert has_demo_key(connection)
