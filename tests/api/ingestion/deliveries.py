"""Deliveries that can be told apart, and what a spool folder gives back of them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from api.ingestion.delivery import Delivery
from api.ingestion.spool_file import SpoolFile

MOMENT = datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)
_NUMBER = re.compile(rb"delivery-([0-9]{6})")


def make_delivery(number: int, size: int = 100) -> Delivery:
    """A delivery of `size` bytes, received `number` milliseconds after MOMENT."""
    body = f'{{"id":"delivery-{number:06}"}}'.encode().ljust(size)
    return Delivery("retail", "default", MOMENT + timedelta(milliseconds=number), body, ("checkout", "price"))


def number_of(delivery: Delivery) -> int:
    found = _NUMBER.search(delivery.body)
    assert found
    assert delivery == make_delivery(int(found[1]), len(delivery.body))
    return int(found[1])


def numbers_in(file: SpoolFile, after_seq: int = 0) -> list[int]:
    """Read a file to its end and return the numbers of its deliveries, in order."""
    numbers = []
    while groups := file.read(after_seq):
        assert [group.seq for group in groups] == sorted({group.seq for group in groups})
        numbers += [number_of(delivery) for group in groups for delivery in group.deliveries]
        after_seq = groups[-1].seq
    return numbers


def drain(file: SpoolFile) -> list[int]:
    """Read a file to its end, forgetting as a drain does, and return the numbers of its deliveries."""
    numbers = []
    while groups := file.read(file.forgotten):
        numbers += [number_of(delivery) for group in groups for delivery in group.deliveries]
        file.forget(groups[-1].seq)
    return numbers


def adopt_all(folder: Path) -> list[SpoolFile]:
    """Adopt all files whose process has ended."""
    files = []
    while file := SpoolFile.adopt(folder):
        files.append(file)
    return files
