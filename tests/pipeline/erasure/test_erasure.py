"""A person is erased from everything that is kept, the rest stays as it was, and the books still balance."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import duckdb
import psycopg
import pytest

from pipeline.database import connect
from pipeline.erasure import run as erasure
from pipeline.erasure.person import Person, PersonError
from pipeline.erasure.run import NotErasedError, find
from pipeline.export.run import export
from pipeline.ingestion.event_store import store
from pipeline.provenance.record import find_rewrites
from pipeline.provenance.run_verification import NOT_REPEATABLE, verify_run
from pipeline.retention.prune import prune
from pipeline.settings import Settings
from tests.makers import NOW, event_row
from tests.pipeline.erasure.erasure_world import PERSON, TABLES, USER, World, inhabited, of_person
from tests.pipeline.ingestion.retail_world import counted_stats, read_stats


@pytest.fixture
def empty(database_url: str, connection: psycopg.Connection, tmp_path: Path) -> World:
    connection.execute("INSERT INTO tenants (tenant_id, name) VALUES ('other', 'Other')")
    return World(Settings(home=tmp_path), database_url, connection)


def users_of(paths: list[str]) -> set[str]:
    return {row[0] for row in duckdb.execute("SELECT anonymous_user_id FROM read_parquet($1)", [paths]).fetchall()}


def test_nothing_of_the_person_is_left_and_nothing_else_is_missing(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    world = inhabited(Settings(home=tmp_path), database_url, connection)
    before = world.lake.snapshot()
    assert before is not None
    others = world.rows("SELECT count(*) FROM event_logs WHERE anonymous_user_id <> %s", USER)
    was_there = find(world.settings, database_url, PERSON)
    assert was_there.keys() >= {
        "event_logs", "assignments", "dead_letters", "retail_site_users", "retail_path_views",
        "rows of events in the lake", "rows of users in the lake", "mentions in event_logs",
    }  # fmt: skip

    run_id = world.rows("SELECT run_id FROM rollup_runs WHERE lake_version IS NOT NULL ORDER BY started_at LIMIT 1")[0][
        0
    ]

    done = world.erase()

    assert find(world.settings, database_url, PERSON) == {}
    verified = verify_run(world.settings, database_url, run_id)
    assert verified.verdict == NOT_REPEATABLE
    assert "erasure of a person" in " ".join([*verified.problems, *verified.notes])
    assert world.rows("SELECT count(*) FROM event_logs") == others
    assert world.rows("SELECT anonymous_user_id FROM assignments") == [("user_1",)]
    assert world.rows("SELECT count(*) FROM dead_letters") == [(1,)]
    assert world.problems() == []
    # The lake: files exchanged, nothing of the person in any, those of old versions gone.
    after = world.lake.snapshot()
    assert after is not None
    assert users_of(after.paths()) == {f"user_{n}" for n in range(20)} | {f"u{n}" for n in range(4)}
    assert after.rows() == before.rows() - 54 + 1  # the mention was not exported before
    gone = [path for path in before.paths() if not Path(path).exists()]
    assert {Path(path).name for path in gone} >= {
        Path(file["old"]).name for file in done.certificate["files_replaced"] if file["old"].startswith("events/")
    }
    assert {rewrite.reason for rewrite in find_rewrites(connection, gone)} == {"erasure of a person"}
    # The numbers: those of a world without the person.
    incremental = {table: world.published(table) for table in TABLES}
    world.refresh(full=True)
    assert incremental == {table: world.published(table) for table in TABLES}
    for (tenant_id, site_id, day), stats in counted_stats(connection).items():
        assert read_stats(connection, site_id, day, tenant_id) == stats
    # The certificate.
    removed = done.certificate["removed"]
    assert (removed["event_logs"], removed["rows of the lake"], removed["dead_letters"]) == (57, 54, 2)
    assert done.certificate["person_digest"] == PERSON.digest(bytes.fromhex(done.salt))
    kept = done.kept_at.read_text()
    assert json.loads(kept) == done.certificate
    assert done.salt not in kept
    assert [path.name for path in done.kept_at.parent.iterdir()] == [done.kept_at.name]
    # What was erased does not come back; what is new is new.
    store(connection, [of_person(3, event_name="sent_again"), of_person(999)])
    assert world.rows("SELECT count(*) FROM event_logs WHERE anonymous_user_id = %s", USER) == [(1,)]
    assert world.problems() == []


def test_pruned_events_are_erased_and_the_books_balance(empty: World) -> None:
    days_ago = NOW - timedelta(days=50)
    rows = [of_person(n, occurred_at=days_ago, received_at=days_ago) for n in range(10)]
    store(empty.connection, [*rows, event_row(1, occurred_at=days_ago, received_at=days_ago), of_person(50)])
    export(empty.database_url, empty.lake)
    assert prune(empty.settings, empty.database_url, empty.lake, NOW).removed == 11
    assert empty.problems() == []

    removed = empty.erase_only().certificate["removed"]

    assert (removed["event_logs"], removed["rows of the lake"]) == (1, 11)
    assert empty.problems() == []
    assert empty.rows("SELECT reason, sum(events)::int FROM removed_events GROUP BY 1 ORDER BY 1") == [
        ("erased", 11), ("pruned", 1),
    ]  # fmt: skip
    store(empty.connection, rows)
    assert empty.rows("SELECT count(*) FROM event_logs") == [(0,)]


def test_a_short_id_is_looked_for_as_a_whole_and_other_tenants_keep_theirs(empty: World) -> None:
    person = Person("default", "77")
    mentions = json.dumps({"who": "77", "price": 77, "size": "a77", "77": [{"x": "77"}]})
    store(empty.connection, [
        event_row(1, anonymous_user_id="77"),
        event_row(2, anonymous_user_id="777", properties=mentions),
        event_row(3, anonymous_user_id="77", tenant_id="other"),
    ])  # fmt: skip
    export(empty.database_url, empty.lake)
    certificate = empty.erase_only(person).certificate
    cleaned = {"who": "erased", "price": 77, "size": "a77", "erased": [{"x": "erased"}]}
    found = empty.rows("SELECT tenant_id, anonymous_user_id, properties FROM event_logs ORDER BY event_id")
    assert found == [("default", "777", cleaned), ("other", "77", {})]
    snapshot = empty.lake.snapshot()
    assert snapshot is not None
    query = "SELECT tenant_id, anonymous_user_id, properties FROM read_parquet($1) ORDER BY event_id"
    in_lake = duckdb.execute(query, [snapshot.paths()]).fetchall()
    assert [(tenant, user, json.loads(properties)) for tenant, user, properties in in_lake] == found
    assert any("another tenant" in text for text in certificate["out_of_reach"])


def test_files_of_older_versions_and_of_none_are_cleaned_too(empty: World) -> None:
    store(empty.connection, [of_person(1), event_row(1)])
    export(empty.database_url, empty.lake)
    export(empty.database_url, empty.lake, rebuild=True)  # the first version's file is in no newer one
    folder = empty.lake.folder
    assert folder is not None
    unfinished = next(folder.glob("day=*")) / "unfinished.parquet"
    unfinished.write_bytes(b"PAR1 killed while writing")
    done = empty.erase_only()
    left = [str(path) for path in folder.rglob("*.parquet")]
    assert users_of(left) == {"user_1"}
    assert len(done.certificate["files_replaced"]) == len(done.certificate["files_removed_from_older_versions"])
    assert not unfinished.exists()


def test_a_person_who_keeps_sending_is_reported_not_certified(empty: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "ROUNDS", 1)
    numbers = iter(range(100))

    def keeps_sending(text: str) -> None:
        if "writing over" in text:
            with connect(empty.database_url) as connection:
                store(connection, [of_person(next(numbers))])

    with pytest.raises(NotErasedError, match="event_logs"):
        empty.erase_only(say=keeps_sending)
    assert empty.erase_only().certificate["removed"]["event_logs"] == 1
    assert empty.erase_only().certificate["removed"] == {}  # nothing is left, and that is no error


def test_a_tenant_that_does_not_exist_is_refused(empty: World) -> None:
    with pytest.raises(PersonError, match="there is no tenant nowhere"):
        empty.erase_only(Person("nowhere", USER))
    assert not (empty.settings.home / "erasures").exists()
