"""The fast reader of event batches and the definition agree: on what they accept, and on every stored value."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.errors import InvalidRequestError
from api.ingestion.batch import EventBatch
from api.ingestion.fast_path import accept_batch, read_batch
from api.ingestion.validation import validate_batch
from tests.api import bad_input
from tests.api.vectors import event
from tests.makers import NOW

texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["", "\0", "\ud800", "a\\u0000", "é", "😀", "x" * 513, *bad_input.TAKEN_IDS, *bad_input.BLANK_IDS]),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=8,
)
times = st.one_of(
    st.sampled_from(["2026-02-18T23:58:00Z", "2026-02-18", "", "2026-02-18T23:58:00.123Z", *bad_input.BAD_TIMES]),
    st.text("0123456789-:.TZ+ ", min_size=20, max_size=24),
    st.datetimes().map(lambda moment: f"{moment.isoformat(timespec='milliseconds')}Z"),
)
ids = st.sampled_from(["0D9A41A2-51f3-4a6c-9f0e-0c4a7f6d3b11", "nope", "", "0d9a41a2-51f3-4a6c-9f0e-0c4a7f6d3b1g"])
names = st.sampled_from(["app_opened", "", "a b", "x" * 81, "é"])


def often(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 9).flatmap(lambda roll: usual if roll else values)


events = st.fixed_dictionaries(
    {"event_name": often(names), "occurred_at": often(times)},
    optional={
        "properties": often(st.dictionaries(texts, values, max_size=3)),
        "context": often(st.dictionaries(texts, values, max_size=3)),
        "event_id": often(ids),
        "extra": values,
    },
)
envelopes = st.fixed_dictionaries(
    {"anonymous_user_id": often(texts), "events": often(st.lists(often(events), max_size=4))},
    optional={
        "session_id": often(texts),
        "install_id": often(texts),
        "app_version": often(texts),
        "platform": often(st.sampled_from(["ios", "android", "web", ""])),
        "sent_at": often(times),
        "extra": values,
    },
)


FIELDS = (b"session_id", b"install_id", b"app_version", b"anonymous_user_id")
PIECES = [
    piece for piece in (*(bad for bad, _ in bad_input.REFUSED_EVENTS.values()), *bad_input.TAKEN_EVENTS.values())
    if len(piece) < 20_000
]  # fmt: skip
VALUES = [
    *(value for value, _ in bad_input.REFUSED_IDS.values()),
    *bad_input.WRONG_TYPES.values(),
    *(json.dumps(text, ensure_ascii=False).encode() for text in (*bad_input.TAKEN_IDS, *bad_input.BLANK_IDS)),
]


def str_of(body: bytes) -> str:
    return ascii(body[:20])


def outcome(read: Any, body: bytes) -> tuple[str, object]:
    try:
        batch: EventBatch = read(body, "default", NOW)
    except InvalidRequestError as error:
        return "refused", error.message
    rows = [row._replace(properties=json.loads(row.properties), context=json.loads(row.context)) for row in batch.rows]
    return "read", (rows, batch.indexes, batch.errors)


@settings(max_examples=200)
@given(envelopes, st.booleans())
def test_both_readers_agree(envelope: dict[str, Any], escaped: bool) -> None:
    body = json.dumps(envelope, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    assert outcome(read_batch, body) == outcome(validate_batch, body)


@settings(max_examples=300)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=5), st.lists(st.sampled_from(VALUES), max_size=4))
def test_both_readers_agree_on_odd_input_in_any_company(events: list[bytes], fields: list[bytes]) -> None:
    shared = b"".join(b'"%b":%b,' % (name, value) for name, value in zip(FIELDS, fields, strict=False))
    body = b'{"anonymous_user_id":"u",%b"events":[%b]}' % (shared, b",".join(events))
    assert outcome(read_batch, body) == outcome(validate_batch, body)


@pytest.mark.parametrize("body", [*bad_input.MALFORMED_BODIES.values(), *bad_input.OTHER_BODIES.values()], ids=str_of)
def test_both_readers_agree_on_what_is_no_batch(body: bytes) -> None:
    assert outcome(read_batch, body) == outcome(validate_batch, body)


@settings(max_examples=200)
@given(st.binary(max_size=12), st.integers(0, 200), st.integers(0, 12))
def test_both_readers_agree_on_damaged_bodies(damage: bytes, at: int, removed: int) -> None:
    body = json.dumps(
        {"anonymous_user_id": "u", "events": [event(properties={"a": [1.5e3, -0, "t\\n", True, None]}, context={})]}
    ).encode()
    at %= len(body)
    body = body[:at] + damage + body[at + removed :]
    assert outcome(read_batch, body) == outcome(validate_batch, body)


def test_usual_batches_take_the_fast_path_and_keep_every_number() -> None:
    body = (
        b'{"anonymous_user_id":"u","events":[{"event_name":"a","occurred_at":"2026-02-18",'
        b'"properties":{"n":1.10,"big":123456789012345678901234567890,"e":1E5}}]}'
    )
    for read in (accept_batch, validate_batch):
        properties = read(body, "default", NOW).rows[0].properties
        assert properties == '{"n":1.10,"big":123456789012345678901234567890,"e":1E5}'
