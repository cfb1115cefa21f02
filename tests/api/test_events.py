"""POST /v1/events answers as the mobile contract's vectors, and stores exactly what it accepted."""

from __future__ import annotations

import gzip
import json
import uuid
from typing import Any

import httpx
import psycopg
import pytest

from api.bodies import MAX_BODY_BYTES
from tests.api.vectors import EVENT_CASES_USER, VECTORS, envelope_body, event, expected_result
from tests.makers import add_experiment, assign


def send(client: httpx.Client, *events: Any, **envelope: Any) -> Any:
    return client.post("/v1/events", content=json.dumps({"anonymous_user_id": "u", **envelope, "events": list(events)}))


def stored(connection: psycopg.Connection, columns: str = "event_id::text") -> list[Any]:
    return connection.execute(f"SELECT {columns} FROM event_logs ORDER BY event_id".encode()).fetchall()


def test_every_event_of_the_vectors_gets_its_result(client: httpx.Client, connection: psycopg.Connection) -> None:
    for case in VECTORS["event_cases"]:
        response = send(client, case["event"], anonymous_user_id=EVENT_CASES_USER)
        assert response.status_code == 200
        result = response.json()["results"][0]
        assert result == expected_result(case), case["event"]
        if result["status"] == "accepted":
            found = connection.execute(
                "SELECT to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
                " FROM event_logs WHERE event_id = %s",
                [result["event_id"]],
            ).fetchone()
            assert found == (case["occurred_at_utc"],)


def test_every_envelope_of_the_vectors_gets_its_answer(client: httpx.Client, connection: psycopg.Connection) -> None:
    for case in sorted(VECTORS["envelope_cases"], key=lambda case: -case["status"]):
        response = client.post("/v1/events", content=json.dumps(envelope_body(case["body"])))
        assert response.status_code == case["status"], case
        answer = response.json()
        if case["status"] == 400:
            assert answer == {"error": "Invalid request", "message": case["message"]}
            assert stored(connection) == []
        else:
            assert (answer["ok"], answer["accepted"], answer["rejected"]) == (True, case["accepted"], case["rejected"])


def test_ids_are_made_as_in_the_vectors_and_a_retry_stores_nothing_twice(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    expected = set()
    for case in VECTORS["generated_event_ids"]:
        for _ in range(2):
            response = client.post("/v1/events", json=case["request"])
            assert [result["event_id"] for result in response.json()["results"]] == case["event_ids"]
        expected.update(case["event_ids"])
    assert {row[0] for row in stored(connection)} == expected


def test_the_answer_shows_what_is_stored(client: httpx.Client, connection: psycopg.Connection) -> None:
    body = {
        "anonymous_user_id": "  Zoë ", "session_id": "s", "install_id": "i", "app_version": "1.2", "platform": "ios",
        "sent_at": "2026-02-18 23:59:30+0100",
        "events": [event(properties={"n": 1.10, "big": 12345678901234567890, "t": "ü\t"}, context={"k": [None]})],
    }  # fmt: skip
    response = client.post("/v1/events", content=json.dumps(body, ensure_ascii=False).encode())
    assert response.json()["received_at"] == "2026-02-19T00:00:00.000Z"
    columns = (
        "anonymous_user_id, session_id, install_id, app_version, platform, sent_at::text, received_at::text,"
        " properties, context, experiment_map, assignments, assignment_version, properties::text"
    )
    *row, text = stored(connection, columns)[0]
    assert row == [
        "Zoë", "s", "i", "1.2", "ios", "2026-02-18 22:59:30+00", "2026-02-19 00:00:00+00",
        {"n": 1.1, "big": 12345678901234567890, "t": "ü\t"}, {"k": [None]}, {}, [], None,
    ]  # fmt: skip
    assert "12345678901234567890" in text


def test_one_bad_event_is_rejected_alone(client: httpx.Client, connection: psycopg.Connection) -> None:
    response = send(client, event(event_name="a"), event(event_name="b b"), event(event_name="c"), None)
    answer = response.json()
    assert (answer["accepted"], answer["rejected"]) == (2, 2)
    assert [result["index"] for result in answer["results"]] == [0, 1, 2, 3]
    assert [result["status"] for result in answer["results"]] == ["accepted", "rejected", "accepted", "rejected"]
    assert len(stored(connection)) == 2
    ledger = connection.execute("SELECT sum(received), sum(stored), sum(rejected) FROM ingestion_ledger").fetchone()
    assert ledger == (4, 2, 2)


POISON = {
    "nul in a value": (rb'{"event_name":"e","occurred_at":"2026-02-18","properties":{"a":"x\u0000"}}', "properties.a"),
    "nul in a key": (rb'{"event_name":"e","occurred_at":"2026-02-18","properties":{"\u0000":1}}', "properties"),
    "nul in the name": (rb'{"event_name":"e\u0000","occurred_at":"2026-02-18"}', "event_name"),
    "nul in the time": (rb'{"event_name":"e","occurred_at":"2026-02-18\u0000"}', "occurred_at"),
    "surrogate": (rb'{"event_name":"e","occurred_at":"2026-02-18","context":{"a":["\ud800"]}}', "context.a[0]"),
    "surrogate in the id": (rb'{"event_name":"e","occurred_at":"2026-02-18","event_id":"\udfff"}', "event_id"),
    "infinite number": (b'{"event_name":"e","occurred_at":"2026-02-18","properties":{"a":1e400}}', "properties.a"),
    "vanishing number": (b'{"event_name":"e","occurred_at":"2026-02-18","properties":{"a":1e-99999}}', "properties.a"),
    "endless number": (
        b'{"event_name":"e","occurred_at":"2026-02-18","properties":{"a":' + b"9" * 5000 + b"}}", "properties.a",
    ),
    "deep": (
        b'{"event_name":"e","occurred_at":"2026-02-18","properties":{"a":' + b"[" * 101 + b"]" * 101 + b"}}",
        "properties",
    ),
    "very deep": (
        b'{"event_name":"e","occurred_at":"2026-02-18","context":{"a":' + b"[" * 50000 + b"]" * 50000 + b"}}",
        "context",
    ),
    "year 10000": (b'{"event_name":"e","occurred_at":"9999-12-31T23:59:59-14:00"}', "occurred_at"),
    "year 1": (b'{"event_name":"e","occurred_at":"0001-01-01T00:00:00+14:00"}', "occurred_at"),
    "infinity": (b'{"event_name":"e","occurred_at":"infinity"}', "occurred_at"),
    "now": (b'{"event_name":"e","occurred_at":"now"}', "occurred_at"),
}  # fmt: skip


@pytest.mark.parametrize("neighbours", [0, 99])
def test_poison_is_rejected_alone_with_a_reason(
    client: httpx.Client, connection: psycopg.Connection, neighbours: int
) -> None:
    middle = neighbours // 2
    for round_number, (poison, place) in enumerate(POISON.values()):
        good = [
            json.dumps(event(event_id=str(uuid.UUID(int=round_number * 1000 + number)))).encode()
            for number in range(neighbours)
        ]
        events = b",".join([*good[:middle], poison, *good[middle:]])
        response = client.post("/v1/events", content=b'{"anonymous_user_id":"u","events":[' + events + b"]}")
        assert response.status_code == 200, response.text
        answer = response.json()
        assert (answer["accepted"], answer["rejected"]) == (neighbours, 1), poison[:100]
        assert answer["results"][middle]["status"] == "rejected"
        assert answer["results"][middle]["error"].startswith(place)
        assert len(stored(connection)) == neighbours * (round_number + 1)


BAD_BODIES = {
    "empty": b"",
    "not json": b"{",
    "two texts": b"{} {}",
    "nan": b'{"anonymous_user_id":"u","events":[{"properties":{"a":NaN}}]}',
    "utf-16": '{"anonymous_user_id":"u"}'.encode("utf-16"),
    "bad utf-8": b'{"anonymous_user_id":"\xff"}',
    "encoded surrogate": b'{"anonymous_user_id":"\xed\xa0\x80"}',
    "brackets": b"[" * 200_000,
    "brackets closed": b"[" * 200_000 + b"}" * 200_000,
    "control character": b'{"anonymous_user_id":"a\nb"}',
}


@pytest.mark.parametrize("path", ["/v1/events", "/v1/assignment"])
def test_a_body_that_is_not_json_is_refused(client: httpx.Client, path: str) -> None:
    for name, content in BAD_BODIES.items():
        response = client.post(path, content=content)
        assert response.status_code == 400, name
        assert response.json() == {"error": "Invalid request", "message": "Malformed JSON body."}


def test_an_envelope_that_cannot_be_stored_is_refused(client: httpx.Client, connection: psycopg.Connection) -> None:
    for field in ("anonymous_user_id", "session_id", "install_id", "app_version"):
        for value in ("\0", "\ud800", "x" * 513):
            response = send(client, event(), **{field: value})
            assert response.status_code == 400
            assert field in response.json()["message"]
    assert stored(connection) == []


def test_an_incompressible_id_of_the_longest_length_is_stored(client: httpx.Client) -> None:
    value = "".join(chr(0x4E00 + number * 37 % 20_000) for number in range(512))
    assert send(client, event(), anonymous_user_id=value).json()["accepted"] == 1


def test_a_byte_order_mark_is_skipped_and_the_content_type_does_not_matter(client: httpx.Client) -> None:
    body = b"\xef\xbb\xbf" + json.dumps({"anonymous_user_id": "u", "events": [event()]}).encode()
    response = client.post("/v1/events", content=body, headers={"content-type": "text/plain"})
    assert response.json()["accepted"] == 1


def test_of_equal_keys_the_last_counts(client: httpx.Client, connection: psycopg.Connection) -> None:
    body = (
        b'{"anonymous_user_id":5,"anonymous_user_id":"v","events":[{"event_name":"a","event_name":"b",'
        b'"occurred_at":"2026-02-18","properties":3,"properties":{"x":1,"x":2}}]}'
    )
    assert client.post("/v1/events", content=body).json()["accepted"] == 1
    assert stored(connection, "anonymous_user_id, event_name, properties") == [("v", "b", {"x": 2})]


def test_an_event_id_is_compared_without_case(client: httpx.Client, connection: psycopg.Connection) -> None:
    lower = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
    answer = send(client, event(event_id=lower.upper()), event(event_id=lower)).json()
    assert [result["event_id"] for result in answer["results"]] == [lower, lower]
    assert stored(connection) == [(lower,)]


OTHER_IDS = [
    "{0d9a41a2-51f3-4a6c-9f0e-0c4a7f6d3b11}",
    "urn:uuid:0d9a41a2-51f3-4a6c-9f0e-0c4a7f6d3b11",
    "0d9a41a251f34a6c9f0e0c4a7f6d3b11",
    "0d9a41a2-51f3-4a6c-9f0e-0c4a7f6d3b11\n",
    "",
    None,
]


def test_other_forms_of_ids_are_refused(client: httpx.Client) -> None:
    results = send(client, *(event(event_id=event_id) for event_id in OTHER_IDS)).json()["results"]
    assert all(result["status"] == "rejected" and "event_id" in result["error"] for result in results)


def test_events_carry_the_users_running_assignments(client: httpx.Client, connection: psycopg.Connection) -> None:
    add_experiment(connection, "exp_a", {"A": 1})
    add_experiment(connection, "exp_b", {"A": 1}, status="PAUSED")
    assign(connection, ["u"], "exp_a", "A")
    assign(connection, ["u"], "exp_b", "A")
    send(client, event())
    send(client, event(), anonymous_user_id="other")
    assert stored(connection, "anonymous_user_id, assignment_version, assignments, experiment_map") in (
        [stamped, plain] for stamped, plain in ((STAMPED, PLAIN), (PLAIN, STAMPED))
    )
    assert connection.execute("SELECT count(*) FROM assignments").fetchone() == (2,)


STAMPED = ("u", 1, [{"experiment_id": "exp_a", "variant_id": "A", "variant_name": "name_A"}], {"exp_a": "A"})
PLAIN = ("other", None, [], {})


def test_gzip_is_accepted(client: httpx.Client, connection: psycopg.Connection) -> None:
    body = json.dumps({"anonymous_user_id": "u", "events": [event()]}).encode()
    for number, content in enumerate([gzip.compress(body), gzip.compress(body[:9]) + gzip.compress(body[9:])]):
        response = client.post("/v1/events", content=content, headers={"content-encoding": "gzip"})
        assert response.json()["accepted"] == 1, number
    assert len(stored(connection)) == 1


def test_broken_gzip_is_refused(client: httpx.Client) -> None:
    for content in (b"plain", gzip.compress(b"{}")[:-4], b"", gzip.compress(b"{}") + b"rest"):
        response = client.post("/v1/events", content=content, headers={"content-encoding": "gzip"})
        assert (response.status_code, response.json()["message"]) == (400, "Malformed gzip body.")


def test_an_unknown_encoding_is_refused(client: httpx.Client) -> None:
    response = client.post("/v1/events", content=b"{}", headers={"content-encoding": "br"})
    assert response.status_code == 415
    assert set(response.json()) == {"error", "message"}


def body_of(size: int) -> bytes:
    frame = json.dumps({"anonymous_user_id": "u", "events": [event(properties={"a": ""})]}).encode()
    return frame.replace(b'""', b'"' + b"x" * (size - len(frame)) + b'"')


def test_a_body_of_one_mebibyte_is_accepted_and_one_byte_more_is_not(client: httpx.Client) -> None:
    assert client.post("/v1/events", content=body_of(MAX_BODY_BYTES)).json()["accepted"] == 1
    for content, headers in (
        (body_of(MAX_BODY_BYTES + 1), {}),
        (body_of(5 * MAX_BODY_BYTES), {}),
        (gzip.compress(body_of(MAX_BODY_BYTES + 1)), {"content-encoding": "gzip"}),
        (gzip.compress(b"[" * 200 * MAX_BODY_BYTES), {"content-encoding": "gzip"}),
    ):
        response = client.post("/v1/events", content=content, headers=headers)
        assert response.status_code == 413
        assert response.json()["error"] == "Payload Too Large"
