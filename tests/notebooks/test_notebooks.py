"""The notebooks and the lake's guide work as a person finds them: after a demo, without a database password."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from notebooks.dashboard import DashboardError, differences, published
from pipeline.settings import REPOSITORY
from tests.api.servers import free_port
from tests.databases import migrated_database
from tests.notebooks.demo_home import LATE_DAY, DemoHome, demo_home

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
GUIDE = REPOSITORY / "docs" / "guides" / "lake.md"
DUCKDB_COMMAND = 'exec "{python}" -c \'import sys, duckdb; print(duckdb.sql(sys.argv[2]))\' "$@"'


@pytest.fixture(scope="module")
def home(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoHome]:
    with (
        migrated_database(postgres_server) as url,
        demo_home(tmp_path_factory.mktemp("demo") / "a home", url) as made,
    ):
        yield made


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_output_and_no_place_is_kept(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
        assert cell.metadata == {}
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"[\"'\s(](/[a-z]+/|~/|[A-Z]:\\\\)", text), "a path that only one machine has"


def executed(path: Path, home: DemoHome) -> Any:
    """Run a notebook in a kernel of its own, from its own folder; fails at the first cell that does."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}})
    client.execute(env={**home.environment, "PYTHONPATH": ""})
    return notebook


def printed(notebook: Any) -> str:
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    texts = [output.text if output.output_type == "stream" else output.data.get("text/plain", "") for output in outputs]
    return "\n".join(texts)


def plots(notebook: Any) -> list[str]:
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return [output.data["image/svg+xml"] for output in outputs if "image/svg+xml" in output.get("data", {})]


@pytest.mark.slow
@pytest.mark.parametrize("stem", ["1_dashboard_with_duckdb", "2_dashboard_with_polars"])
def test_the_dashboards_numbers_are_those_of_the_lake(stem: str, home: DemoHome) -> None:
    agreeing = re.findall(r"^(\d+) cells .*agree", printed(executed(NOTEBOOKS[0].with_stem(stem), home)), re.MULTILINE)
    assert len(agreeing) == 3
    assert min(map(int, agreeing)) > 100


def test_cells_that_differ_are_named_and_rounding_is_none() -> None:
    shown = {("2026-11-19", "dau"): 13, ("2026-11-19", "rate"): 0.1 + 0.2, ("2026-11-18", "dau"): 5}
    computed = {("2026-11-19", "dau"): 14, ("2026-11-19", "rate"): 0.3, ("2026-11-19", "new"): 6}
    assert differences(shown, computed) == [
        "2026-11-18 dau: the dashboard shows 5, the lake has None",
        "2026-11-19 dau: the dashboard shows 13, the lake has 14",
        "2026-11-19 new: the dashboard shows None, the lake has 6",
    ]
    assert differences(shown, shown) == []


@pytest.mark.parametrize("environment", [{}, {"DASHBOARD_TOKEN": "another"}], ids=["no API", "another token"])
def test_what_the_api_does_not_give_says_why(
    environment: dict[str, str], home: DemoHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = home.port if environment else free_port()
    for name, value in {"TIDEMARK_HOME": str(home.home), "PORT": str(port), **environment}.items():
        monkeypatch.setenv(name, value)
    complaint = "answered 401" if environment else "nothing answers at .*; start it with `./tidemark demo`"
    with pytest.raises(DashboardError, match=complaint):
        published("metrics/daily", window_days=2)


@pytest.mark.slow
def test_a_trend_and_a_funnel_are_drawn(home: DemoHome) -> None:
    trend, funnel = plots(executed(REPOSITORY / "notebooks" / "3_trend_and_funnel.ipynb", home))
    for plot, words in ((trend, ("active", "new", "Nov 19")), (funnel, ("submitted", "A (", "B (", "C ("))):
        assert all(word in plot for word in words)
        assert not re.search(r"(href|src)=\"(https?:)?//", plot), "a plot loads nothing from elsewhere"


@pytest.mark.slow
def test_two_versions_of_a_day_show_what_came_late(home: DemoHome) -> None:
    text = printed(executed(REPOSITORY / "notebooks" / "4_what_late_events_changed.ipynb", home))
    assert home.late > 0
    assert f"{LATE_DAY} in versions 0 and 1" in text
    assert f"{home.late} events came later" in text
    assert re.search(rf"'events': \(\d+, \d+, {home.late}\), 'dau': \(\d+, \d+, [1-9]", text)


def blocks(language: str) -> list[str]:
    text = GUIDE.read_text(encoding="utf-8")
    return [block.strip() for block in re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)]


def run(home: DemoHome, *command: str, folder: Path | None = None) -> str:
    environment = home.environment
    if folder is not None:
        environment |= {"PATH": f"{folder}:{environment['PATH']}", "HOME": str(folder)}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_every_block_of_the_guide_is_in_a_language_that_is_tested() -> None:
    languages = re.findall(r"^```(\w*)\n", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(languages[::2]) == {"python", "sh"}
    assert len(blocks("python")) >= 10
    assert len(blocks("sh")) >= 1


@pytest.mark.slow
def test_the_guides_programs_work(home: DemoHome) -> None:
    """One after the other in one Python, as a person would go through the page: each adds to those before."""
    programs = blocks("python")
    script = "\n".join(f"print('--', {number})\n{program}" for number, program in enumerate(programs))
    answers = re.split(r"^-- \d+\n", run(home, sys.executable, "-W", "error", "-c", script), flags=re.MULTILINE)[1:]
    assert len(answers) == len(programs)
    assert all(answer.strip() for program, answer in zip(programs, answers, strict=True) if "print(" in program)


@pytest.mark.slow
def test_the_guides_commands_work(home: DemoHome, tmp_path: Path) -> None:
    """`duckdb` is the engine of the Python package here: the command line program is the same engine."""
    duckdb = tmp_path / "duckdb"
    duckdb.write_text("#!/bin/sh\n" + DUCKDB_COMMAND.format(python=sys.executable) + "\n")
    duckdb.chmod(0o755)
    (tmp_path / "tidemark").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cli "$@"\n')
    (tmp_path / "tidemark").chmod(0o755)
    for block in blocks("sh"):
        fitted = block.replace("./tidemark", "tidemark").replace(".venv/bin/python", sys.executable)
        assert run(home, "bash", "-euo", "pipefail", "-c", fitted, folder=tmp_path).strip()
