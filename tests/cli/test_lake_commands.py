"""`export` and `import` as a person runs them: exit codes, JSON on stdout, remarks on stderr."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.settings import REPOSITORY

GOOD = {"anonymous_user_id": "u", "event_name": "app_opened", "occurred_at": "2026-02-01T00:00:00Z", "odd": 1}


@pytest.fixture
def run(database_url: str, tmp_path: Path) -> Any:
    def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "DATABASE_URL": database_url, "TIDEMARK_HOME": str(tmp_path / "home")}
        return subprocess.run(
            [sys.executable, "-m", "cli", *map(str, arguments)],
            cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    return call


def test_import_then_export_then_nothing_new(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "history.ndjson"
    path.write_text(json.dumps(GOOD) + "\n")
    imported = run("import", "events", path)
    assert imported.returncode == 0, imported.stderr
    assert json.loads(imported.stdout) == {
        "ok": True,
        "file": str(path),
        "rows": 1,
        "stored": 1,
        "duplicate": 0,
        "conflict": 0,
        "rejected": 0,
        "rejects_file": None,
        "already_imported": False,
        "seconds": json.loads(imported.stdout)["seconds"],
    }
    assert "ignored unknown columns: odd" in imported.stderr
    exported = run("export")
    assert exported.returncode == 0, exported.stderr
    answer = json.loads(exported.stdout)
    assert (answer["ok"], answer["rows"], answer["lake_version"]) == (True, 1, 0)
    assert answer["days"] == [{"day": "2026-02-01", "rows": 1}]
    again = json.loads(run("export").stdout)
    assert (again["rows"], again["days"], again["lake_version"]) == (0, [], 0)
    assert "already imported" in run("import", "events", path).stderr


def test_rejected_rows_end_with_exit_code_1_and_say_where_they_are(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("anonymous_user_id,event_name,occurred_at\nu,a,2026-02-01\nu,a b,2026-02-01\n")
    done = run("import", "events", path, "--rejects", tmp_path / "aside.ndjson")
    assert done.returncode == 1
    assert json.loads(done.stdout)["rejected"] == 1
    assert f"1 rows rejected; see {tmp_path / 'aside.ndjson'}" in done.stderr
    assert json.loads((tmp_path / "aside.ndjson").read_text())["line"] == 3


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["import", "metrics", "x.csv"], 2, "metrics"),
        (["import", "events", "x.csv", "--format", "xml"], 2, "xml"),
        (["import", "events", "/absent/x.csv"], 1, "there is no such file"),
        (["export", "--absent"], 2, "--absent"),
    ],
)
def test_mistakes_are_one_clear_line(run: Any, arguments: list[str], code: int, message: str) -> None:
    done = run(*arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
