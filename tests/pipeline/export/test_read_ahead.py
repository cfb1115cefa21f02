"""Reading ahead keeps the order, hands on errors, and ends its thread when the reader leaves."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pipeline.export.read_ahead import read_ahead
from tests.waiting import wait_until


def test_yields_everything_in_order() -> None:
    assert list(read_ahead(range(100), 3)) == list(range(100))
    assert list(read_ahead([], 1)) == []


def test_what_iterating_raises_is_raised_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken source")

    reader = read_ahead(items(), 1)
    assert next(reader) == 1
    with pytest.raises(ValueError, match="broken source"):
        next(reader)


def test_reads_no_further_ahead_than_told_and_stops_with_its_reader() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1_000):
            made.append(number)
            yield number

    reader = read_ahead(items(), 2)
    assert next(reader) == 0
    wait_until(lambda: len(made) >= 4)  # one handed out, two ready, one waiting for a place
    assert len(made) == 4
    reader.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name == "read-ahead"]
