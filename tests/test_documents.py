"""What the documents say is true: links lead somewhere, and the README's commands run against a real demo."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.settings import REPOSITORY
from tests.waiting import wait_until

DOCUMENTS = [
    path
    for path in sorted(REPOSITORY.rglob("*.md"))
    if not any(part.startswith(".") or part == "data" for part in path.relative_to(REPOSITORY).parts)
]
# Tested on their own: the demo is what the other commands run against, and the test command is running now.
START_COMMANDS = {"./tidemark demo", "./tidemark test"}


def blocks(path: Path, language: str) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return [block.strip() for block in re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Demo:
    """A running demo: its home and its ports, and the README's text made to fit them."""

    home: Path
    port: int
    dagster_port: int

    def fitted(self, text: str) -> str:
        return (
            text.replace("data/", f"{self.home}/")
            .replace("localhost:3000", f"127.0.0.1:{self.port}")
            .replace("localhost:3001", f"127.0.0.1:{self.dagster_port}")
        )

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "DASHBOARD_TOKEN"}}
        return {
            **kept,
            "TIDEMARK_HOME": str(self.home),
            "PORT": str(self.port),
            "DAGSTER_PORT": str(self.dagster_port),
            "PYTHONPATH": str(REPOSITORY),
        }

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command, cwd=REPOSITORY, env=self.environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    running = Demo(tmp_path_factory.mktemp("demo") / "home", free_port(), free_port())
    log = running.home.parent / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "demo", "--users", "60", "--days", "4"],
            cwd=REPOSITORY, env=running.environment, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            wait_until(lambda: "Ctrl-C stops everything" in log.read_text() or process.poll() is not None, seconds=180)
            assert process.poll() is None, log.read_text()
            yield running
        finally:
            process.send_signal(signal.SIGINT)
            code = process.wait(60)
    assert code == 0, log.read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_lead_to_files_that_exist(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (document.parent / target).exists(), target


def test_every_decision_is_in_the_index() -> None:
    index = (REPOSITORY / "docs/adr/README.md").read_text(encoding="utf-8")
    for decision in (REPOSITORY / "docs/adr").glob("0*.md"):
        assert decision.name in index


@pytest.mark.slow
def test_the_readme_commands_work_in_the_order_they_are_given(demo: Demo) -> None:
    commands = [block for block in blocks(REPOSITORY / "README.md", "sh") if block not in START_COMMANDS]
    assert len(commands) >= 4
    for block in commands:
        printed = demo.run("bash", "-euo", "pipefail", "-c", demo.fitted(block))
        assert '"error"' not in printed, f"{block}\n{printed}"
    summary = json.loads(urllib.request.urlopen(f"http://127.0.0.1:{demo.port}/v1/metrics/summary").read())
    assert {"dau", "logging_rate_24h"} <= {metric["metric_name"] for metric in summary["metrics"]}


@pytest.mark.slow
def test_the_readme_reads_the_lake(demo: Demo) -> None:
    programs = blocks(REPOSITORY / "README.md", "python")
    assert len(programs) == 2
    for program in programs:
        assert "│" in demo.run(sys.executable, "-c", demo.fitted(program))


@pytest.mark.slow
def test_the_readme_pages_answer(demo: Demo) -> None:
    pages = re.findall(r"<(http://localhost:[^>]+)>", (REPOSITORY / "README.md").read_text(encoding="utf-8"))
    assert len(pages) >= 3
    for page in pages:
        with urllib.request.urlopen(demo.fitted(page)) as answer:
            assert answer.status == 200, page
