"""The benchmark of the analytics summary runs, at a size that takes seconds, over data that is what it says."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from datetime import timedelta

import psycopg

from benchmarks.analytics import DAYS, EXPERIMENTS, TENANT, fill
from pipeline.settings import REPOSITORY
from tests.makers import NOW
from tests.pipeline.ingestion.campaign_world import assert_exact, counted, read_counts, read_facts


def test_a_filled_tenant_has_the_counts_of_its_events(connection: psycopg.Connection) -> None:
    fill(connection, NOW.date(), 4_500)
    facts = read_facts(connection)
    assert len(facts) == 4_500
    assert {day for *_, day, _, _ in facts} == {NOW.date() - timedelta(days=ago) for ago in range(DAYS)}
    assert {experiment for _, experiment, *_ in facts} == {"", *EXPERIMENTS}
    assert_exact(connection, random.Random(1), facts=facts)
    asked = (NOW.date() - timedelta(days=30), NOW.date(), "", TENANT)
    found = read_counts(connection, *asked)
    assert found == counted(facts, *asked)
    assert found[""][2] < 31 * 5, "users come back"
    assert set(found) == {"", "A", "B", "C"}


def test_it_prints_latencies_rates_and_sizes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.analytics", "--events", "4500", "--seconds", "0.2"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=250,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
    titles = [cells[0].removeprefix("| ") for cells in rows]
    assert [title for title in titles if title.startswith(("cold", "warm"))] == [
        "cold: each range once, after a restart", "warm: random ranges", "warm: random ranges",
        f"warm: {DAYS} days, all experiments", "warm: whole history",
    ]  # fmt: skip
    assert re.search(r"\| without counting \| [1-9][0-9,]* \|\n\| counted \| [1-9][0-9,]* \|", done.stdout)
    assert "| `campaign_counts` | " in done.stdout
