"""Import of files: three formats alike, bad rows kept aside, interruptions harmless."""

from __future__ import annotations

import csv
import gzip
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from psycopg.rows import dict_row

from pipeline.imports.progress import ImportRunningError
from pipeline.imports.run import ImportFileError, ImportResult, import_file
from pipeline.settings import REPOSITORY
from tests.makers import NOW, assign

LATER = datetime(2026, 3, 1, tzinfo=UTC)


def event(number: int = 0, **columns: Any) -> dict[str, Any]:
    return {
        "event_id": f"00000000-0000-4000-8000-{number:012d}",
        "tenant_id": "default",
        "anonymous_user_id": f"user_{number % 5}",
        "session_id": "s,1" if number % 2 else None,
        "install_id": None,
        "platform": "ios",
        "app_version": "1.2.3",
        "event_name": "tab_opened",
        "occurred_at": f"2026-02-{1 + number % 28:02d}T10:00:00.123456Z",
        "received_at": f"2026-02-{1 + number % 28:02d}T10:00:07+00:00",
        "sent_at": None,
        "properties": {"number": number, "text": 'line\nbreak, "quote" 🐸', "none": None, "list": [1, {"a": True}]},
        "context": {},
        "assignment_version": 1,
        "assignments": [{"experiment_id": "e", "variant_id": "A", "variant_name": "first"}],
        "experiment_map": {"e": "A"},
        "schema_version": 2,
        **columns,
    }


def write_ndjson(path: Path, rows: Sequence[dict[str, Any] | str]) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    data = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    text_path = path.with_suffix("") if path.suffix == ".gz" else path
    with text_path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {name: json.dumps(value) if isinstance(value, dict | list) else value for name, value in row.items()}
            )
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text_path.read_bytes()))
    return path


def write_parquet(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    times = ("occurred_at", "received_at", "sent_at")
    nested = {"properties", "context"}
    table = pa.table(
        {
            name: pa.array(
                [
                    datetime.fromisoformat(row[name])
                    if name in times and row[name]
                    else (json.dumps(row[name]) if name in nested else row[name])
                    for row in rows
                ],
                pa.timestamp("us", "UTC")
                if name in times
                else (pa.map_(pa.string(), pa.string()) if name == "experiment_map" else None),
            )
            for name in rows[0]
        }
    )
    pq.write_table(table, path)
    return path


WRITERS = {
    "events.ndjson": write_ndjson,
    "events.jsonl.gz": write_ndjson,
    "events.csv": write_csv,
    "events.csv.gz": write_csv,
    "events.parquet": write_parquet,
}


def stored(connection: psycopg.Connection) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute("SELECT * FROM event_logs ORDER BY event_id").fetchall()
    for row in rows:
        del row["ingest_xid"], row["stamp"]
    return rows


def counts(result: ImportResult) -> tuple[int, int, int, int, int]:
    return (result.rows, result.stored, result.duplicate, result.conflict, result.rejected)


def rejects(result: ImportResult) -> list[dict[str, Any]]:
    assert result.rejects_file is not None
    return [json.loads(line) for line in Path(result.rejects_file).read_text().splitlines()]


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_stores_the_same_rows(
    name: str, database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    rows = [event(number) for number in range(40)]
    result = import_file(database_url, "events", WRITERS[name](tmp_path / name, rows))
    assert counts(result) == (40, 40, 0, 0, 0)
    assert result.ok
    assert result.rejects_file is None
    found = stored(connection)
    for row, given in zip(found, rows, strict=True):
        times = ("occurred_at", "received_at", "sent_at")
        expected = {**given, **{name: given[name] and datetime.fromisoformat(given[name]) for name in times}}
        assert {**row, "event_id": str(row["event_id"])} == expected


@pytest.mark.parametrize("name", ["events.ndjson", "events.csv", "events.parquet"])
def test_numbers_keep_every_digit(name: str, database_url: str, connection: psycopg.Connection, tmp_path: Path) -> None:
    exact = '{"big": 123456789012345678901234567890, "small": 0.10000000000000000000001, "far": 1e30}'
    row = event(properties=exact)
    if name == "events.ndjson":
        text = json.dumps(row).replace(json.dumps(exact), exact)
        path = write_ndjson(tmp_path / name, [text])
    elif name == "events.csv":
        path = write_csv(tmp_path / name, [row])
    else:
        path = tmp_path / name
        pq.write_table(pa.Table.from_pylist([{**row, "context": None, "experiment_map": None}]), path)
    import_file(database_url, "events", path)
    found = connection.execute("SELECT properties::text FROM event_logs").fetchone()
    expected = connection.execute("SELECT %s::jsonb::text", [exact]).fetchone()
    assert found == expected
    assert found is not None
    assert "123456789012345678901234567890" in found[0]


BAD = {
    "event_name: 'no spaces' must be 1 to 80 letters, digits or underscores": {"event_name": "no spaces"},
    "event_name: None must be": {"event_name": None},
    "anonymous_user_id: is required": {"anonymous_user_id": "  "},
    "anonymous_user_id: 513 characters": {"anonymous_user_id": "x" * 513},
    "occurred_at: is required": {"occurred_at": None},
    "occurred_at: '2026-02-30T00:00:00Z' is not an ISO 8601": {"occurred_at": "2026-02-30T00:00:00Z"},
    "occurred_at: '1969-12-31T23:59:59Z' is outside the years": {"occurred_at": "1969-12-31T23:59:59Z"},
    "occurred_at: '9999-12-31T23:59:59-10:00' is outside": {"occurred_at": "9999-12-31T23:59:59-10:00"},
    "event_id: 'nope' is not a UUID": {"event_id": "nope"},
    "tenant_id: 'stranger' is not a tenant": {"tenant_id": "stranger"},
    "session_id: holds U+0000": {"session_id": "a\0b"},
    "properties: holds U+0000": {"properties": {"a": "\0"}},
    "properties: '[1]' is not a JSON object": {"properties": [1]},
    "schema_version: 1.5 must be a whole number": {"schema_version": 1.5},
    "assignments: '[1]' is not a JSON list of objects": {"assignments": [1]},
    "experiment_map:": {"experiment_map": {"e": 1}},
}


def test_bad_rows_are_kept_aside_with_line_and_reason(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    rows: list[dict[str, Any] | str] = [event(0)]
    rows += [event(number, **columns) for number, columns in enumerate(BAD.values(), start=1)]
    rows += ["{broken", "", '{"event_name": "tab_opened", "session_id": "\udcff"}', "[1]", event(99)]
    result = import_file(database_url, "events", write_ndjson(tmp_path / "events.ndjson", rows))
    assert counts(result) == (len(rows) - 1, 2, 0, 0, len(rows) - 3)
    assert not result.ok
    found = rejects(result)
    for number, (reason, reject) in enumerate(zip(BAD, found, strict=False), start=2):
        assert reject["line"] == number
        assert reject["reason"].startswith(reason), reject["reason"]
        assert reject["row"]["platform"] == "ios"
    assert [(reject["line"], reject["reason"].split(":")[0]) for reject in found[len(BAD) :]] == [
        (len(BAD) + 2, "the line is not a JSON object"),
        (len(BAD) + 4, "the line is not UTF-8"),
        (len(BAD) + 5, "the line is not a JSON object"),
    ]
    assert len(stored(connection)) == 2
    ledger = connection.execute("SELECT sum(received), sum(stored), sum(rejected) FROM ingestion_ledger").fetchone()
    assert ledger == (len(rows) - 1, 2, len(rows) - 3)


def test_what_only_postgres_refuses_is_found_and_rejected_alone(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    rows: list[dict[str, Any] | str] = [event(number) for number in range(50)]
    for number in (7, 31):
        rows[number] = json.dumps(event(number, properties={"x": 0})).replace('{"x": 0}', '{"x": 1e200000}')
    result = import_file(database_url, "events", write_ndjson(tmp_path / "events.ndjson", rows))
    assert counts(result) == (50, 48, 0, 0, 2)
    assert [reject["line"] for reject in rejects(result)] == [8, 32]
    assert all(reject["reason"].startswith("Postgres cannot store it: ") for reject in rejects(result))


def test_csv_lines_are_counted_through_quoted_line_breaks(database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(
        "anonymous_user_id,event_name,occurred_at,session_id\r\n"
        'u1,a,2026-02-01,"one\r\ntwo\r\nthree"\r\n'
        "u2,b c,2026-02-01,\r\n"
        "u3,d,2026-02-01\r\n"
        '\ufeffu4,e,2026-02-01 10:00:00+00,"x"\r\n',
        newline="",
    )
    result = import_file(database_url, "events", path)
    assert counts(result) == (4, 2, 0, 0, 2)
    assert [(reject["line"], reject["reason"].split(",")[0]) for reject in rejects(result)] == [
        (5, "event_name: 'b c' must be 1 to 80 letters"),
        (6, "the row has 3 fields"),
    ]


def test_bytes_that_are_not_utf8_are_rejected(database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_bytes(b"anonymous_user_id,event_name,occurred_at\nu\xff,a,2026-02-01\nv,a,2026-02-01\n")
    result = import_file(database_url, "events", path)
    assert counts(result) == (2, 1, 0, 0, 1)
    assert "not valid UTF-8" in rejects(result)[0]["reason"]


def test_missing_columns_get_their_defaults(database_url: str, connection: psycopg.Connection, tmp_path: Path) -> None:
    row = {"anonymous_user_id": " u ", "event_name": "app_opened", "occurred_at": "2026-02-01T10:00:00", "odd": 1}
    path = write_ndjson(tmp_path / "events.ndjson", [row, row, {**row, "session_id": "other"}])
    result = import_file(database_url, "events", path, clock=lambda: LATER)
    assert counts(result) == (3, 2, 1, 0, 0)
    assert result.ignored_columns == ("odd",)
    first = stored(connection)[0]
    assert (first["tenant_id"], first["anonymous_user_id"]) == ("default", "u")
    assert first["occurred_at"] == datetime(2026, 2, 1, 10, tzinfo=UTC)
    assert first["received_at"] == LATER
    assert (first["properties"], first["context"], first["schema_version"]) == ({}, {}, 1)


def test_assignments_of_a_file_are_kept_and_missing_ones_stamped(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    connection.execute("INSERT INTO experiments (experiment_id, status) VALUES ('e', 'RUNNING')")
    assign(connection, ["user_0"], "e", "now")
    given = event(1, anonymous_user_id="user_0")
    listed = event(2, anonymous_user_id="user_0", experiment_map=None)
    mapped = event(3, anonymous_user_id="user_0", assignments=None)
    absent = event(4, anonymous_user_id="user_0", assignments=None, experiment_map=None)
    import_file(database_url, "events", write_ndjson(tmp_path / "events.ndjson", [given, listed, mapped, absent]))
    found = stored(connection)
    assert [row["experiment_map"] for row in found] == [{"e": "A"}, {"e": "A"}, {"e": "A"}, {"e": "now"}]
    assert [row["assignments"][0]["variant_name"] for row in found] == ["first", "first", "A", "now"]


def test_a_finished_file_is_not_imported_again_unless_asked(database_url: str, tmp_path: Path) -> None:
    path = write_ndjson(tmp_path / "events.ndjson", [event(number) for number in range(10)])
    first = import_file(database_url, "events", path)
    moved = path.rename(tmp_path / "other.ndjson")
    again = import_file(database_url, "events", moved)
    assert counts(first) == counts(again) == (10, 10, 0, 0, 0)
    assert (first.already_imported, again.already_imported) == (False, True)
    restarted = import_file(database_url, "events", moved, restart=True)
    assert counts(restarted) == (10, 0, 10, 0, 0)


def test_another_payload_under_a_known_id_is_a_conflict_and_the_first_stays(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    import_file(database_url, "events", write_ndjson(tmp_path / "one.ndjson", [event(1)]))
    other = write_ndjson(tmp_path / "two.ndjson", [event(1, properties={"other": 1})])
    assert counts(import_file(database_url, "events", other)) == (1, 0, 1, 1, 0)
    assert stored(connection)[0]["properties"]["number"] == 1


PROGRAM = """
import sys
from pathlib import Path
from pipeline.imports import run as file_import
file_import.BATCH_ROWS = 50
file_import.import_file(sys.argv[1], "events", Path(sys.argv[2]), watch=lambda *numbers: print(numbers, flush=True))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["events.ndjson.gz", "events.csv", "events.parquet"])
def test_an_import_killed_anywhere_continues_where_it_was(
    name: str, database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    rows = [event(number, event_name="bad name" if number % 100 == 13 else "good") for number in range(20_000)]
    writer = write_ndjson if "ndjson" in name else write_csv if "csv" in name else write_parquet
    path = writer(tmp_path / name, rows)
    resumed = []
    for kill in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, database_url, str(path)], cwd=REPOSITORY, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        for _ in range(5 + kill):
            process.stdout.readline()
        time.sleep(0.003 * kill)  # not synchronisation: the kill shall hit different steps
        process.send_signal(signal.SIGKILL)
        process.communicate()
        resumed.append(len(stored(connection)))
    assert resumed == sorted(resumed)
    assert 0 < resumed[-1] < 19_800
    end = import_file(database_url, "events", path)
    assert end.resumed_at > 0
    assert counts(end) == (20_000, 19_800, 0, 0, 200)
    assert len(stored(connection)) == 19_800
    first = 1 if "parquet" in name else None
    lines = [reject["line"] for reject in rejects(end)]
    assert len(lines) == len(set(lines)) == 200
    assert lines == sorted(lines)
    assert first is None or lines[0] == 14
    ledger = connection.execute("SELECT sum(received), sum(rejected) FROM ingestion_ledger").fetchone()
    assert ledger == (20_000, 200)


def test_two_imports_of_one_file_do_not_count_twice(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    path = write_ndjson(tmp_path / "events.ndjson", [event(number) for number in range(100)])

    def second(_: int, __: int, ___: int) -> None:
        raise AssertionError("the first import had nothing left to do")

    other = write_ndjson(tmp_path / "copy.ndjson", [event(number) for number in range(100)])

    def interfere(*_: int) -> None:
        import_file(database_url, "events", other, restart=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.imports.run.BATCH_ROWS", 40)
        with pytest.raises(ImportRunningError):
            import_file(database_url, "events", path, watch=interfere)
    assert import_file(database_url, "events", path, watch=second).already_imported
    assert len(stored(connection)) == 100


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("events.txt", b"", "add --format"),
        ("events.parquet", b"not parquet", "not readable as Parquet"),
        ("events.csv", b"", "needs a header"),
        ("events.csv", b"a,a\n", "twice"),
        ("events.csv", b"user,name\n1,2\n", "no column anonymous_user_id"),
        ("events.ndjson.gz", gzip.compress(b'{"a": 1}\n' * 1000, mtime=0)[:-20], "damaged or cut off"),
    ],
)
def test_an_unusable_file_is_refused_with_one_line(
    name: str, content: bytes, message: str, database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ImportFileError, match=message):
        import_file(database_url, "events", path)


def test_rejects_never_overwrite_the_file_itself(database_url: str, tmp_path: Path) -> None:
    path = write_ndjson(tmp_path / "events.ndjson", [event(1)])
    with pytest.raises(ImportFileError, match="itself"):
        import_file(database_url, "events", path, rejects=path)
    assert path.read_text()


@pytest.mark.parametrize("name", ["assignments.ndjson", "assignments.csv", "assignments.parquet"])
def test_assignments_keep_the_first_one(
    name: str, database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    assign(connection, ["u1", "u2"], "e", "A")
    rows = [
        {"anonymous_user_id": user, "experiment_id": "e", "variant_id": variant, "assigned_at": "2026-01-01T00:00:00Z"}
        for user, variant in (("u1", "A"), ("u2", "B"), ("u3", "C"), ("u3", "D"), ("u4", None))
    ]
    if "parquet" in name:
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
    else:
        (write_csv if "csv" in name else write_ndjson)(tmp_path / name, rows)
    result = import_file(database_url, "assignments", tmp_path / name)
    assert counts(result) == (5, 1, 3, 2, 1)
    found = connection.execute(
        "SELECT anonymous_user_id, variant_id, assigned_at FROM assignments ORDER BY 1"
    ).fetchall()
    assert found == [("u1", "A", NOW), ("u2", "A", NOW), ("u3", "C", datetime(2026, 1, 1, tzinfo=UTC))]
    assert rejects(result)[0]["reason"] == "variant_id: is required"


def test_every_time_unit_of_parquet_is_read_as_utc(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    moment = datetime(2026, 2, 1, 12, 0, 0, 123_456)
    for number, kind in enumerate(
        [pa.timestamp("ns"), pa.timestamp("us"), pa.timestamp("us", "America/New_York"), pa.timestamp("ms", "UTC")]
    ):
        value = pa.array([moment.replace(tzinfo=UTC)], pa.timestamp("us", "UTC")).cast(kind, safe=False)
        path = tmp_path / f"{number}.parquet"
        pq.write_table(pa.table({"anonymous_user_id": ["u"], "event_name": [f"n{number}"], "occurred_at": value}), path)
        assert import_file(database_url, "events", path).ok
    found = connection.execute("SELECT occurred_at FROM event_logs ORDER BY event_name").fetchall()
    exact = moment.replace(tzinfo=UTC)
    assert [row[0] for row in found] == [exact, exact, exact, exact.replace(microsecond=123_000)]


def test_a_shops_history_comes_in_and_is_counted(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    """Shops' events may lack a user and bear any name; an app's may not."""
    shop = {"context": {"source": "retail"}, "properties": {"site_id": "shop", "path": "/p"}, "anonymous_user_id": ""}
    rows = [event(0, event_name="page_view", **shop), event(1, event_name="näher ansehen!", **shop), event(2)]
    rows += [event(3, anonymous_user_id=""), event(4, event_name="two words"), event(5, **shop, event_name="x" * 101)]
    result = import_file(database_url, "events", write_ndjson(tmp_path / "shop.ndjson", rows))
    assert (result.stored, result.rejected) == (3, 3)
    totals = connection.execute("SELECT views, users FROM retail_site_totals WHERE day = '-infinity'").fetchall()
    assert totals == [(1, 0)]
