"""Progress on stderr, as a log sees it: a line when something changed, and a last one."""

from __future__ import annotations

import pytest

from cli import progress
from cli.progress import Progress


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QUIET_SECONDS", "TERMINAL_INTERVAL_SECONDS", "LOG_INTERVAL_SECONDS"):
        monkeypatch.setattr(progress, name, 0)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_line_is_printed_when_it_differs_from_the_one_before(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("Publishing", "steps") as shown:
        for done in (0, 0, 0, 5, 5, 6):
            shown.update(done)
    assert lines(capsys)[:-1] == ["Publishing: 0 steps", "Publishing: 5 steps", "Publishing: 6 steps"]


def test_the_total_adds_a_share_and_the_end_the_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("Importing") as shown:
        shown.update(1_500, 2_000)
    first, last = lines(capsys)
    assert first == "Importing: 1,500 of 2,000 rows (75%)"
    assert last.startswith("Importing: 1,500 rows, ")
    assert last.endswith(" s")


def test_a_failure_prints_no_end(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="odd"), Progress("Importing") as shown:
        shown.update(3)
        raise ValueError("odd")
    assert lines(capsys) == ["Importing: 3 rows"]
