"""The commands of docs/guides/experiments.md do what the guide says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import psycopg

from pipeline.settings import REPOSITORY
from tests.api.experiments.conftest import PATH, Platform
from tests.test_documents import blocks


def test_the_commands_of_the_guide_work(platform: Platform, database_url: str) -> None:
    exports, create, patch, listed, bulk, difference = blocks(REPOSITORY / "docs/guides/experiments.md", "sh")
    assert exports.startswith("export KEY=")
    environment = {
        **os.environ, "PYTHONPATH": str(REPOSITORY), "DATABASE_URL": database_url,
        "KEY": platform.keys["acme"], "API": f"{str(platform.client.base_url).rstrip('/')}{PATH}",
    }  # fmt: skip

    def shell(command: str, **more: str) -> tuple[str, Any]:
        done = subprocess.run(
            ["sh", "-ec", command], env={**environment, **more}, cwd=REPOSITORY, capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        head, _, body = done.stdout.replace("\r", "").rpartition("\n\n")
        return head, json.loads(body)

    head, created = shell(create)
    assert head.startswith("HTTP/1.1 201")
    assert f"location: {PATH}/{created['id']}" in head
    assert shell(patch, ID=created["id"])[1]["status"] == "RUNNING"
    assert shell(patch, ID=created["id"])[1]["statusCode"] == 412
    head, found = shell(listed)
    assert "x-total-count: 1" in head
    assert [one["id"] for one in found] == [created["id"]]
    results = shell(bulk, ID=created["id"])[1]["results"]
    assert [one["result"] for one in results] == ["changed", "unknown"]
    printed = shell(difference.replace("./tidemark", f"{sys.executable} -m cli"))[1]
    assert [one["action"] for one in printed["changes"]] == ["create", "create"]
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM experiments WHERE tenant_id = 'default'").fetchone() == (0,)
