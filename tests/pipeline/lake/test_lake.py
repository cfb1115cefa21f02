"""Where the lake lies, and what is asked of a version that is not there."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from pipeline.lake.table import Lake, LakeError, LakeFile, LakeSnapshot

FILES = (
    LakeFile("/lake/events/day=2026-01-01/a.parquet", date(2026, 1, 1), 3, 30),
    LakeFile("/lake/events/day=2026-01-01/b.parquet", date(2026, 1, 1), 4, 40),
    LakeFile("/lake/events/day=2026-01-03/c.parquet", date(2026, 1, 3), 5, 50),
)
SNAPSHOT = LakeSnapshot(7, FILES, 100)


def test_a_lake_without_a_table_has_no_snapshot(tmp_path: Path) -> None:
    assert Lake(tmp_path).snapshot() is None
    assert Lake(tmp_path / "absent").snapshot() is None
    assert list(tmp_path.iterdir()) == []


def test_the_table_is_events_below_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Lake("data/lake").folder == tmp_path / "data/lake/events"
    assert Lake(tmp_path / "lake").location == f"{tmp_path}/lake/events"
    assert Lake("s3://bucket/lake/").location == "s3://bucket/lake/events"
    assert Lake("s3://bucket/lake").folder is None


@pytest.mark.parametrize(
    ("first", "last", "rows"),
    [
        (None, None, 12),
        (date(2026, 1, 1), date(2026, 1, 1), 7),
        (date(2026, 1, 2), None, 5),
        (None, date(2026, 1, 2), 7),
        (date(2026, 1, 2), date(2026, 1, 2), 0),
    ],
)
def test_a_snapshot_selects_days_with_both_ends_included(first: date | None, last: date | None, rows: int) -> None:
    assert SNAPSHOT.rows(first, last) == rows
    assert len(SNAPSHOT.paths(first, last)) == {12: 3, 7: 2, 5: 1, 0: 0}[rows]
    assert SNAPSHOT.days() == [date(2026, 1, 1), date(2026, 1, 3)]


def test_a_damaged_log_is_reported_not_taken_for_an_empty_lake(tmp_path: Path) -> None:
    log = tmp_path / "events" / "_delta_log"
    log.mkdir(parents=True)
    (log / f"{0:020d}.json").write_text("not json\n")
    with pytest.raises(LakeError, match="cannot open the lake"):
        Lake(tmp_path).snapshot()
