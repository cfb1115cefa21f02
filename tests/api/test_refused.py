"""Dead letters are cut out of a body exactly as it was sent, however odd the rest of it is."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.ingestion.batch import EventBatch
from api.ingestion.refused import MAX_ENVELOPE_BYTES, WHOLE_REQUEST, dead_letters, single_event_body
from api.ingestion.validation import validate_batch
from api.json_text import decode_json
from pipeline.ingestion.dead_letters import DeadLetter

NOW = datetime(2026, 2, 19, tzinfo=UTC)
GOOD = '{"event_name": "app_opened", "occurred_at": "2026-02-18T10:00:00Z"}'
DEEP = '{"event_name":"deep","properties":{"a":' + "[" * 50_000 + "]" * 50_000 + "}}"
NUMBERS = '{"a":1e400,"b":123456789012345678901234567890,"c":1.10}'


def letters_of(body: bytes, *indexes: int) -> list[DeadLetter]:
    return dead_letters("mobile", "default", NOW, body, dict.fromkeys(indexes, "why"))


@pytest.mark.parametrize(
    "event",
    [
        "5", "null", '""', "[]", '[1, [2, "]"]]', '{ "a" :\t1 ,"b":[ 1 , 2 ] }', '{"a":1,"a":2}', NUMBERS, DEEP,
        r'{"event_name":"a\u0000b"}', r'{"x":"\ud800","y":"\\\""}', '{"x":"a,]}[{"}', '{"x":"\u00e9\U0001f600\u2028"}',
    ],
    ids=lambda event: event[:20].encode("ascii", "backslashreplace").decode(),
)  # fmt: skip
@pytest.mark.parametrize("odd_name", [False, True], ids=["plain", "odd"])
def test_a_refused_event_is_kept_as_it_was_sent(event: str, odd_name: bool) -> None:
    extra = r'"\ud800" : [1,{"events":2}],' if odd_name else ""
    body = (
        f'\n{{{extra} "anonymous_user_id" : "u\\u00e9", "events":[ {GOOD} ,\r\n{event}\t] , "sent_at":"x" }} '.encode()
    )
    (letter,) = letters_of(body, 1)
    assert letter.event == event.encode()
    assert (letter.tenant_id, letter.received_at, letter.protocol, letter.reason) == ("default", NOW, "mobile", "why")
    fields = decode_json(letter.envelope)
    assert isinstance(fields, dict)
    assert (fields["anonymous_user_id"], fields["sent_at"], "events" in fields) == ("u\u00e9", "x", False)
    assert b'"u\\u00e9"' in letter.envelope, "the value's own bytes"


def test_letters_come_in_the_order_of_their_indexes() -> None:
    body = json.dumps({"anonymous_user_id": "u", "events": list(range(9))}).encode()
    assert [(letter.event_index, letter.event) for letter in letters_of(body, 7, 0, 3)] == [
        (0, b"0"), (3, b"3"), (7, b"7"),
    ]  # fmt: skip
    assert dead_letters("mobile", "default", NOW, b"no matter what", {}) == []


@pytest.mark.parametrize("deep", ["", DEEP], ids=["plain", "deep"])
def test_of_fields_that_are_sent_twice_the_last_counts(deep: str) -> None:
    more = f", {deep}" if deep else ""
    body = f'{{"events":[1],"anonymous_user_id":"a","events":[2{more}],"anonymous_user_id":"b"}}'.encode()
    (letter,) = letters_of(body, 0)
    assert (letter.event, decode_json(letter.envelope)) == (b"2", {"anonymous_user_id": "b"})


def test_a_byte_order_mark_is_no_part_of_a_letter() -> None:
    (letter,) = letters_of(b'\xef\xbb\xbf{"anonymous_user_id":"u","events":[ 1 ]}', 0)
    assert (letter.envelope, letter.event) == (b'{"anonymous_user_id":"u"}', b"1")


def test_what_no_protocol_knows_is_left_out_when_it_is_large_and_all_when_it_still_is() -> None:
    padding = "x" * MAX_ENVELOPE_BYTES
    (letter,) = letters_of(json.dumps({"junk": padding, "anonymous_user_id": "u", "events": [1]}).encode(), 0)
    assert decode_json(letter.envelope) == {"anonymous_user_id": "u"}
    (letter,) = letters_of(json.dumps({"anonymous_user_id": "u", "sent_at": padding, "events": [1]}).encode(), 0)
    assert letter.envelope == b"{}"


@pytest.mark.parametrize(
    "body",
    [
        b'{"site_id":"s"}',
        b"[1,2]",
        b'{"events":{"a":1}}',
        b'{"events":[]}',
        b'"text"',
        b"",
        b"\xff",
        b'{"events":[{"a"',
    ],
)
def test_what_is_no_batch_of_events_is_kept_as_a_whole(body: bytes) -> None:
    (letter,) = dead_letters("retail", "default", NOW, body, {0: "why"})
    assert (letter.protocol, letter.envelope, letter.event) == ("retail", b"{}", body)


def test_a_request_that_cannot_be_read_any_more_is_kept_as_a_whole() -> None:
    body = b'{"anonymous_user_id":"u","events":[1,2]}'
    (letter,) = letters_of(body, WHOLE_REQUEST)
    assert (letter.event_index, letter.envelope, letter.event) == (WHOLE_REQUEST, b"{}", body)


@pytest.mark.parametrize("envelope", [b"{}", b" { } ", b'{"anonymous_user_id":"u"}'])
def test_a_letter_makes_a_body_again(envelope: bytes) -> None:
    document = decode_json(single_event_body(envelope, b'{"a":1}'))
    assert isinstance(document, dict)
    assert len(document["events"]) == 1
    assert {name: value for name, value in document.items() if name != "events"} == decode_json(envelope)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150)
@given(st.lists(JSON, min_size=1, max_size=6), st.dictionaries(st.text(), JSON, max_size=4), st.randoms())
def test_any_batch_is_cut_as_a_json_reader_reads_it(
    events: list[Any], fields: dict[str, Any], chance: random.Random
) -> None:
    fields.pop("events", None)
    members = [*fields.items(), ("events", events)]
    chance.shuffle(members)
    body = json.dumps(dict(members), indent=chance.choice([None, 2]), ensure_ascii=chance.choice([True, False]))
    letters = letters_of(body.encode(), *range(len(events)))
    assert [json.loads(letter.event) for letter in letters] == events
    assert all(json.loads(letter.envelope) == fields for letter in letters)


def test_a_made_event_id_is_the_same_when_the_letter_is_read_again() -> None:
    late = '{"event_name": "app_opened", "occurred_at": "2026-02-20T10:00:00Z"}'
    body = f'{{"anonymous_user_id":" u ","session_id":"s","sent_at":"2026-02-18","events":[{GOOD},{late}]}}'.encode()
    first = validate_batch(body, "default", NOW)
    assert list(first.errors) == [1]
    (letter,) = dead_letters("mobile", "default", NOW, body, first.errors)
    later = datetime(2026, 2, 21, tzinfo=UTC)
    alone = single_event_body(letter.envelope, letter.event)
    again: EventBatch = validate_batch(alone, "default", later, letter.event_index)
    assert [row.event_id for row in again.rows] == [validate_batch(body, "default", later).rows[1].event_id]
