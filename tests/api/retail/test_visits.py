"""Visits are read strictly, with the contract's messages, and equally by the quick reader and the definition."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from api.retail.visits import Visit, VisitError, accept_visit, read_visit, validate_visit, visit_row
from tests.makers import NOW

REQUIRED = ["site_id is required", "event_type is required", "path is required"]
BAD_TIME = "timestamp must be a valid ISO date string"
GOOD = {"site_id": "shop", "event_type": "page_view", "path": "/"}


def body(**fields: Any) -> bytes:
    """A good visit as JSON, fields replaced."""
    return json.dumps({**GOOD, **fields}).encode()


def messages(sent: bytes) -> list[str]:
    with pytest.raises(VisitError) as refused:
        read_visit(sent)
    return refused.value.messages


def test_reads_every_field() -> None:
    sent = body(user_id="ann", timestamp="2026-02-19T10:30:00.123456+02:00", more={"ignored": [1]})
    at = datetime(2026, 2, 19, 8, 30, 0, 123456, UTC)
    assert read_visit(sent) == accept_visit(sent) == Visit("shop", "page_view", "/", "ann", at)


@pytest.mark.parametrize("sent", [b"", b" \n", b"{}", b"[]", b'{"site_id": null, "event_type": "", "x": 1}'])
def test_nothing_sent_names_all_that_is_required(sent: bytes) -> None:
    assert messages(sent) == REQUIRED


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("value", [None, ""], ids=["null", "empty"])
def test_each_required_field_is_named(name: str, value: str | None) -> None:
    absent = {key: text for key, text in GOOD.items() if key != name}
    assert messages(json.dumps(absent).encode()) == messages(body(**{name: value})) == [f"{name} is required"]


@pytest.mark.parametrize(
    "timestamp",
    [
        "yesterday", "2026-02-30", "2026-13-01T00:00:00Z", "2026-02-19T25:00:00Z", "2026-06-30T23:59:60Z",
        "1969-12-31T23:59:59Z", "0001-01-01", "+010000-01-01T00:00:00Z", "10000-01-01", "1", " ", "2026-02-19\u0000",
        "Nov 20 2026", "2026-02-19T10:00:00+24:00", 1, 1771490000, 0, True, False, [], {}, ["2026-02-19"],
    ],
    ids=str,
)  # fmt: skip
def test_a_timestamp_that_is_no_moment_is_refused(timestamp: object) -> None:
    assert messages(body(timestamp=timestamp)) == [BAD_TIME]


@pytest.mark.parametrize(
    ("timestamp", "moment"),
    [
        (None, None),
        ("", None),
        ("2026-02-19", NOW),
        ("2026-02-19T00:00", NOW),
        ("2026-02-19 02:00:00+0200", NOW),
        ("2099-12-31T23:59:59.999Z", datetime(2099, 12, 31, 23, 59, 59, 999_000, UTC)),
        ("2024-02-29T24:00:00Z", datetime(2024, 3, 1, tzinfo=UTC)),
    ],
)
def test_a_timestamp_is_utc_without_an_offset_and_may_lie_ahead(timestamp: str | None, moment: datetime | None) -> None:
    assert read_visit(body(timestamp=timestamp)).occurred_at == moment


def test_everything_wrong_is_named_in_the_order_of_the_contract() -> None:
    sent = {"user_id": "x" * 256, "timestamp": "now", "path": "\0", "event_type": "", "site_id": ["shop"]}
    assert messages(json.dumps(sent).encode()) == [
        "event_type is required",
        BAD_TIME,
        "site_id must be a string",
        "path contains U+0000, which cannot be stored",
        "user_id must be at most 255 characters",
    ]


@pytest.mark.parametrize(
    ("name", "limit"), [("site_id", 255), ("event_type", 100), ("path", 8192), ("user_id", 255)]
)  # fmt: skip
def test_lengths_are_limited_in_characters(name: str, limit: int) -> None:
    for letter in ("a", "ü", "\U0001f600"):
        assert getattr(read_visit(body(**{name: letter * limit})), name) == letter * limit
        assert messages(body(**{name: letter * (limit + 1)})) == [f"{name} must be at most {limit} characters"]


@pytest.mark.parametrize("name", [*GOOD, "user_id"])
@pytest.mark.parametrize("value", [1.5, True, False, {"x": 1}, ["a", "b"]], ids=str)
def test_other_types_are_refused(name: str, value: object) -> None:
    assert messages(body(**{name: value})) == [f"{name} must be a string"]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("null", None), ('""', None), ("0", "0"), ("-0", "-0"), ("42", "42"), ("-7", "-7"), ("9" * 40, "9" * 40)],
)
def test_a_user_id_may_be_an_integer(sent: str, kept: str | None) -> None:
    text = json.dumps(GOOD)[:-1] + f', "user_id": {sent}}}'
    assert read_visit(text.encode()).user_id == kept


@pytest.mark.parametrize("number", ["1.0", "1e3", "1e400", "9" * 256])
def test_a_user_id_may_be_no_other_number(number: str) -> None:
    text = json.dumps(GOOD)[:-1] + f', "user_id": {number}}}'
    assert len(messages(text.encode())) == 1


@pytest.mark.parametrize("name", [*GOOD, "user_id"])
def test_what_postgres_cannot_hold_is_refused(name: str) -> None:
    assert messages(body(**{name: "a\0"})) == [f"{name} contains U+0000, which cannot be stored"]
    assert messages(body(**{name: "a\ud800"})) == [f"{name} contains a lone surrogate"]


@pytest.mark.parametrize("control", ["\x01", "\n", "\x1f", "\x7f"], ids=repr)
def test_ids_have_no_control_characters_and_paths_may(control: str) -> None:
    for name in ("site_id", "event_type", "user_id"):
        assert messages(body(**{name: f"a{control}"})) == [f"{name} contains a control character"]
    assert read_visit(body(path=f"/{control}")).path == f"/{control}"


@pytest.mark.parametrize(
    "sent",
    [
        b"{", b"nonsense", b"\xff\xfe{\x00}\x00", body() + b"x", b'{"site_id": "a\xff"}', b'{"x": NaN}',
        body()[:-1] + b', "x": "\xff"}', b'{"site_id": "a\nb"}', b"[" * 100_000, b'{"a":' * 100_000,
    ],
    ids=lambda sent: repr(sent[:20]),
)  # fmt: skip
def test_what_is_no_json_is_one_clear_message(sent: bytes) -> None:
    assert messages(sent) == ["Malformed JSON body."]


@pytest.mark.parametrize(("sent", "kind"), [(b"[1]", "array"), (b'"x"', "string"), (b"1", "number"), (b"null", "null")])
def test_what_is_no_object_says_so(sent: bytes, kind: str) -> None:
    assert messages(sent) == [f"The body must be a JSON object, not {kind}."]


def test_odd_but_right_json_is_read() -> None:
    deep = b"[" * 50_000 + b"]" * 50_000
    assert read_visit(b"\xef\xbb\xbf" + body()) == Visit(**GOOD)
    assert read_visit(body()[:-1] + b', "path": "/last", "x": 1e400, "y": ' + deep + b"}").path == "/last"
    assert read_visit(body(path="/\\u0000 \\ud800")).path == "/\\u0000 \\ud800"


def test_a_visit_is_stored_with_its_site_its_path_and_its_user() -> None:
    at = NOW - timedelta(days=1)
    row = visit_row(Visit("shop", "page_view", '/"ü"', "ann", at), "default", NOW, "id")
    assert (row.event_id, row.event_name, row.anonymous_user_id, row.platform) == ("id", "page_view", "ann", None)
    assert (row.occurred_at, row.received_at) == (at, NOW)
    assert json.loads(row.properties) == {"site_id": "shop", "path": '/"ü"', "user_id": "ann"}
    assert json.loads(row.context) == {"source": "retail"}


def test_a_visit_without_user_and_time_is_of_nobody_and_of_now() -> None:
    row = visit_row(Visit("shop", "page_view", "/"), "default", NOW, "id")
    assert (row.anonymous_user_id, row.occurred_at) == ("", NOW)
    assert json.loads(row.properties) == {"site_id": "shop", "path": "/"}


VALUES = st.one_of(
    st.text(max_size=4),
    st.sampled_from([None, "", "a" * 101, "a" * 256, "2026-02-19T08:30:00Z", "2026-02-30", 0, -1, 2**70, 1.5, True]),
    st.lists(st.none(), max_size=1),
)
BODIES = st.dictionaries(
    st.sampled_from(["site_id", "event_type", "path", "user_id", "timestamp", "more"]), VALUES, max_size=6
).map(lambda fields: {**GOOD, **fields})


def outcome(read: Any, sent: bytes) -> object:
    try:
        return read(sent)
    except VisitError as error:
        return error.messages


@settings(max_examples=600)
@given(document=BODIES, ascii_only=st.booleans(), cut=st.integers(0, 400), junk=st.binary(max_size=2))
@example(document=GOOD, ascii_only=False, cut=30, junk=b"\xff")
def test_the_quick_reader_agrees_with_the_definition(
    document: dict[str, Any], ascii_only: bool, cut: int, junk: bytes
) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    for sent in (text, text[:cut] + junk + text[cut:]):
        assert outcome(read_visit, sent) == outcome(validate_visit, sent)


def test_the_quick_reader_takes_what_is_usual() -> None:
    sent = {**GOOD, "user_id": 42, "timestamp": "2026-02-19T08:30:00.000Z", "path": "/ü"}
    assert accept_visit(json.dumps(sent, ensure_ascii=False).encode()) is not None
