"""Ids made for spooled events: the same at every reading, different everywhere else, rising with time."""

from __future__ import annotations

import uuid
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from api.ingestion.event_ids import given_event_id, spooled_event_id
from tests.makers import NOW

SPOOL = uuid.UUID("6f1d7a52-0b6e-4a39-9b0e-0c4a7f6d3b11")


def test_an_id_is_a_version_7_uuid_of_its_time() -> None:
    made = spooled_event_id(SPOOL, 1, 0, NOW + timedelta(milliseconds=1))
    assert uuid.UUID(made).version == 7
    assert uuid.UUID(made).variant == uuid.RFC_4122
    assert uuid.UUID(made).int >> 80 == int(NOW.timestamp() * 1000) + 1
    assert given_event_id(made) == made


def test_an_id_stays_the_same_in_every_version_of_this_program() -> None:
    assert spooled_event_id(SPOOL, 7, 3, NOW) == "019c7332-4400-7ae0-8311-0cf33d405f2c"


@given(st.integers(0, 2**63 - 1), st.integers(0, 10_000), st.integers(0, 10**9))
def test_each_place_has_its_own_id(seq: int, position: int, later: int) -> None:
    moment = NOW + timedelta(milliseconds=later)
    made = spooled_event_id(SPOOL, seq, position, moment)
    assert made == spooled_event_id(uuid.UUID(str(SPOOL)), seq, position, moment)
    others = {
        spooled_event_id(SPOOL, seq + 1, position, moment),
        spooled_event_id(SPOOL, seq, position + 1, moment),
        spooled_event_id(uuid.UUID(int=5), seq, position, moment),
    }
    assert len(others | {made}) == 4
    assert made < spooled_event_id(SPOOL, 0, 0, moment + timedelta(milliseconds=1))


def test_many_of_one_millisecond_differ() -> None:
    ids = {spooled_event_id(SPOOL, seq, position, NOW) for seq in range(300) for position in range(300)}
    assert len(ids) == 90_000
