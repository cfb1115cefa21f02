"""The engines that the benchmark compares count the same, over a lake as the export writes it."""

from __future__ import annotations

from datetime import date, timedelta
from types import ModuleType

import polars as pl
import pytest

from benchmarks import engine_duckdb, engine_ours, engine_polars
from benchmarks.engines import WORKS, table
from benchmarks.history import generate, generator, name_of, people_of, variant_of, write_history
from pipeline.lake.table import Lake, LakeSnapshot

LAST = date(2026, 11, 20)
DAYS = 4


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> LakeSnapshot:
    lake = Lake(tmp_path_factory.mktemp("lake"))
    write_history(lake, LAST, DAYS, 2_000, {"export": 7})
    found = lake.snapshot()
    assert found is not None
    return found


@pytest.mark.parametrize("engine", [engine_duckdb, engine_polars])
@pytest.mark.parametrize("work", WORKS)
def test_an_engine_counts_what_ours_counts(snapshot: LakeSnapshot, engine: ModuleType, work: str) -> None:
    def counted(module: ModuleType) -> list[tuple[date, str, float]]:
        return sorted((day, str(name), round(float(value), 6)) for day, name, value in getattr(module, work)(snapshot))

    ours = counted(engine_ours)
    assert counted(engine) == ours
    assert {day for day, _, _ in ours} == {LAST - timedelta(days=number) for number in range(DAYS)}
    assert len(ours) >= DAYS * 2


def test_the_history_is_a_lake_of_whole_days_and_the_same_every_time(snapshot: LakeSnapshot) -> None:
    assert snapshot.exported_xid == 7
    assert [snapshot.rows(day, day) for day in snapshot.days()] == [2_000] * DAYS
    with generator() as engine:
        first, again = (generate(engine, LAST, DAYS - 1, 2_000) for _ in range(2))
    assert first.equals(again)
    written = pl.read_parquet(snapshot.paths(LAST, LAST)).select("event_id", "anonymous_user_id", "occurred_at")
    made = pl.DataFrame(pl.from_arrow(first.select(["event_id", "anonymous_user_id", "occurred_at"])))
    assert written.equals(made.with_columns(pl.col("occurred_at").cast(pl.Datetime("us", "UTC"))))
    assert set(made["occurred_at"].dt.date()) == {LAST}


def test_people_have_the_names_and_variants_that_the_events_carry() -> None:
    with generator() as engine:
        rows = generate(engine, LAST, 50, 4_000, joiners=10)
    seen = {row["person"]: row for row in rows.select(["person", "anonymous_user_id", "experiment_map"]).to_pylist()}
    assert len(seen) > 50
    for person, row in seen.items():
        assert row["anonymous_user_id"] == name_of(person)
        assert dict(row["experiment_map"]) == {"landing": variant_of(person)}
    assert set(seen) & set(people_of(50, 50, joiners=10)), "some joined today"
    assert max(seen) < people_of(51, 51, joiners=10).start, "and nobody tomorrow"


def test_late_events_belong_mostly_to_the_day_before() -> None:
    with generator() as engine:
        rows = pl.DataFrame(pl.from_arrow(generate(engine, LAST, 50, 50_000, late_share=0.1).drop(["experiment_map"])))
    late = rows.filter(pl.col("occurred_at").dt.date() < LAST)
    assert 4_500 < len(late) < 5_500
    days = late.group_by(pl.col("occurred_at").dt.date().alias("day")).len().sort("day", descending=True)["len"]
    assert 0.45 < days[0] / len(late) < 0.55
    assert len(days) <= 14
    assert rows["received_at"].dt.date().min() == LAST


def test_the_table_says_when_counts_differ_and_when_an_engine_is_missing() -> None:
    common = {"seconds": 2.0, "cpu_seconds": 3.0, "peak": 2**20, "counts": [["d", "n", 1.0]]}
    results = [
        {"engine": "ours", "work": "daily", **common},
        {"engine": "duckdb", "work": "daily", **{**common, "seconds": 1.0, "counts": [["d", "n", 2.0]]}},
        {"engine": "chdb", "work": "daily", "missing": "ModuleNotFoundError: No module named 'chdb'"},
    ]
    shown = table(results)
    assert "UNEQUAL" in shown and "not run: ModuleNotFoundError" in shown and "| 2.00 | 1.00 |" in shown
