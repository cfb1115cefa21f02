"""The OpenAPI is true: requests made up from it, right and wrong, get the answers it describes and never a 5xx."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.settings import REPOSITORY
from tests.api.conftest import TOKEN
from tests.api.servers import server_process

CONFIGURATION = Path(__file__).parent / "schemathesis.toml"
CHECKS = {
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "negative_data_rejection", "positive_data_acceptance", "unsupported_method",
}  # fmt: skip


@pytest.mark.slow
def test_answers_are_those_that_the_openapi_describes(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHBOARD_TOKEN", TOKEN)
    report = tmp_path / "report.json"
    with server_process(database_url, tmp_path / "log") as (url, _):
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION)),
                *("run", f"{url}/openapi.json", "-H", f"x-dashboard-token: {TOKEN}", "--no-color"),
                *("--report-json-path", str(report)),
            ],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )
    sys.stdout.write(done.stdout[-2_000:])
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Tested: {OPERATIONS}" in done.stdout, "an operation was left out"
    assert json.loads(report.read_text())
