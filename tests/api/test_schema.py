"""The OpenAPI is true: requests made up from it, right and wrong, get the answers it describes and never a 5xx."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from pipeline.settings import REPOSITORY
from tests.api.conftest import TOKEN
from tests.api.servers import NO_TLS, server_process
from tests.api.tenants import tenant_key

CONFIGURATION = Path(__file__).parent / "schemathesis.toml"


def question(
    folder: Path, url: str, key: str, schema: dict[str, Any], *options: str
) -> tuple[int, str, dict[str, Any]]:
    """Let schemathesis question an API about what its description says; returns exit code, output and report."""
    description, report = folder / "openapi.json", folder / "report.json"
    description.write_text(json.dumps(schema))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION)),
            *("run", str(description), "--url", url, "--no-color"),
            *("--report-json-path", str(report), *options),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "TIDEMARK_TEST_KEY": key, "TIDEMARK_TEST_TOKEN": TOKEN},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr, json.loads(report.read_text())


def promise_too_much(schema: dict[str, Any]) -> None:
    schema["components"]["schemas"]["QueuedResponse"]["required"].append("ghost")


def hide_a_status(schema: dict[str, Any]) -> None:
    del schema["paths"]["/event"]["post"]["responses"]["400"]


def hide_a_limit(schema: dict[str, Any]) -> None:
    body = schema["paths"]["/event"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    body["properties"]["site_id"]["maxLength"] += 1


def invent_a_limit(schema: dict[str, Any]) -> None:
    body = schema["paths"]["/event"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    body["properties"]["path"]["maxLength"] = 5000


@pytest.mark.slow
def test_answers_are_those_that_the_openapi_describes(
    database_url: str, connection: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHBOARD_TOKEN", TOKEN)
    key = tenant_key(connection, "default")
    with server_process(database_url, tmp_path / "log") as (url, _):
        schema = httpx.get(f"{url}/openapi.json", timeout=30, verify=NO_TLS).json()
        code, output, report = question(tmp_path, url, key, schema)
        sys.stdout.write(f"{report['test_cases']}\n")
        assert code == 0, output
        assert report["operations"]["tested"] == sum(map(len, schema["paths"].values()))
        lies: list[tuple[Callable[[dict[str, Any]], None], str]] = [
            (promise_too_much, "Response violates schema"),
            (hide_a_status, "Undocumented status code"),
            (hide_a_limit, "Schema-valid request rejected"),
            (invent_a_limit, "Schema-violating request accepted"),
        ]
        # Each lie has a finding of its own, so that one run shows whether each is found.
        for tell, _ in lies:
            tell(schema)
        code, output, _ = question(
            tmp_path, url, key, schema, "--include-path", "/event", "--phases", "examples,coverage"
        )
        assert code == 1
        for tell, finding in lies:
            assert finding in output, f"{tell.__name__} was not found: {output}"
