"""The statistics of a retail site equal its stored events, whatever is sent and however many write at once."""

from __future__ import annotations

import json
import random
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.imports.run import import_file
from pipeline.ingestion.event_store import EventRow, store
from pipeline.ingestion.retail_stats import count_visits, may_hold_visits
from tests.databases import migrated_database
from tests.makers import NOW, event_row
from tests.pipeline.ingestion.retail_world import counted_stats, read_stats, visit_event

DAY = timedelta(days=1)
TODAY = NOW.date()
EMPTY = (0, 0, [])


def assert_exact(connection: psycopg.Connection, least: int = 1) -> None:
    """Every site's statistics, on every day and over all time, are those counted from its events."""
    counted = counted_stats(connection)
    assert len(counted) >= least
    for (tenant_id, site_id, day), stats in counted.items():
        assert read_stats(connection, site_id, day, tenant_id) == stats, (tenant_id, site_id, day)


def test_counts_page_views_users_of_any_event_and_paths(connection: psycopg.Connection) -> None:
    store(
        connection,
        [
            visit_event(1, path="/b", user_id="ann"),
            visit_event(2, path="/b", user_id="ann"),
            visit_event(3, path="/a", user_id="bob"),
            visit_event(4, path="/c"),
            visit_event(5, path="/cart", user_id="cem", event_name="add_to_cart"),
            visit_event(6, site_id="other", user_id="ann"),
        ],
    )
    top_paths = [{"path": "/b", "views": 2}, {"path": "/a", "views": 1}, {"path": "/c", "views": 1}]
    assert read_stats(connection, "shop") == (4, 3, top_paths)
    assert read_stats(connection, "shop", TODAY) == (4, 3, top_paths)
    assert read_stats(connection, "other") == (1, 1, [{"path": "/", "views": 1}])
    assert read_stats(connection, "shop", TODAY + DAY) == EMPTY
    assert read_stats(connection, "unknown") == EMPTY


def test_a_duplicate_does_not_count_again(connection: psycopg.Connection) -> None:
    rows = [visit_event(number, user_id=f"user_{number}") for number in range(5)]
    store(connection, [*rows, *rows[:2]])
    store(connection, [*rows[3:], visit_event(9)])
    assert read_stats(connection, "shop")[:2] == (6, 5)
    assert_exact(connection)


def test_a_late_event_counts_on_its_own_day(connection: psycopg.Connection) -> None:
    store(connection, [visit_event(1, user_id="ann")])
    store(connection, [visit_event(2, user_id="ann", occurred_at=NOW - 400 * DAY - timedelta(microseconds=1))])
    assert read_stats(connection, "shop")[:2] == (2, 1)
    assert read_stats(connection, "shop", TODAY)[:2] == (1, 1)
    assert read_stats(connection, "shop", TODAY - 401 * DAY)[:2] == (1, 1)


def test_the_session_time_zone_does_not_move_days(database_url: str, connection: psycopg.Connection) -> None:
    with psycopg.connect(database_url, autocommit=True, options="-c timezone=Pacific/Auckland") as far:
        store(far, [visit_event(1, occurred_at=datetime(2026, 2, 19, 23, 59, 59, tzinfo=UTC))])
        assert read_stats(far, "shop", date(2026, 2, 19))[0] == 1
    assert_exact(connection)


def test_mobile_events_are_no_visits(connection: psycopg.Connection) -> None:
    store(connection, [event_row(1), event_row(2, context='{"source": "wholesale"}')])
    assert connection.execute("SELECT count(*) FROM retail_site_totals").fetchone() == (0,)


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"path": "/"},
        {"site_id": "shop"},
        {"site_id": "", "path": "/"},
        {"site_id": 5, "path": "/"},
        {"site_id": {"a": 1}, "path": "/"},
        {"site_id": "x" * 256, "path": "/"},
        {"site_id": "shop", "path": "/" * 8193},
        {"site_id": "shop", "path": ["/"]},
    ],
    ids=lambda properties: json.dumps(properties)[:40],
)
def test_what_names_no_site_and_path_is_stored_and_not_counted(
    connection: psycopg.Connection, properties: dict[str, object]
) -> None:
    store(connection, [visit_event(1, properties=json.dumps(properties))])
    assert connection.execute("SELECT count(*) FROM event_logs").fetchone() == (1,)
    assert connection.execute("SELECT count(*) FROM retail_site_totals").fetchone() == (0,)


def test_the_longest_and_oddest_texts_are_counted(connection: psycopg.Connection) -> None:
    chance = random.Random(4)
    widest = ["".join(chr(chance.randrange(0x10000, 0x10FFFF)) for _ in range(length)) for length in (255, 8192, 512)]
    store(connection, [visit_event(1, site_id=widest[0], path=widest[1], anonymous_user_id=widest[2])])
    odd = ["/\x01\x1f\x7f", "/\n\t\r", '/"\\', "/\ufeff", "/ü", "/%00", "/' OR 1=1 --"]
    store(connection, [visit_event(10 + number, path=path, user_id=path) for number, path in enumerate(odd)])
    assert read_stats(connection, widest[0]) == (1, 1, [{"path": widest[1], "views": 1}])
    assert_exact(connection, least=4)


def test_equal_paths_come_in_code_point_order_also_beyond_what_the_index_holds(
    connection: psycopg.Connection,
) -> None:
    same = "/" + "é" * 300
    paths = [same + tail for tail in ("z", "a", "", "Z", "ä", "\U0001f600", "\uffff", "aa")]
    paths += ["/b", "/B", "/a", "/a/", "/ä", "/_"]
    store(connection, [visit_event(number, path=path) for number, path in enumerate(paths)])
    top_paths = read_stats(connection, "shop")[2]
    assert [entry["path"] for entry in top_paths] == sorted(paths)[:10]
    assert_exact(connection)


def test_counting_twice_in_one_transaction_counts_once(connection: psycopg.Connection) -> None:
    with connection.transaction():
        store(connection, [visit_event(1, user_id="ann")])
        store(connection, [visit_event(1, user_id="ann"), visit_event(2, user_id="ann")])
        assert count_visits(connection) == 0
    assert read_stats(connection, "shop")[:2] == (2, 1)


def test_what_is_rolled_back_is_not_counted(connection: psycopg.Connection) -> None:
    with connection.transaction():
        store(connection, [visit_event(1, user_id="ann")])
        with pytest.raises(ZeroDivisionError), connection.transaction():
            store(connection, [visit_event(2, user_id="bob")])
            raise ZeroDivisionError
        store(connection, [visit_event(2, user_id="bob"), visit_event(3, user_id="ann")])
    assert read_stats(connection, "shop")[:2] == (3, 2)
    assert_exact(connection)


def test_an_imported_history_counts(database_url: str, connection: psycopg.Connection, tmp_path: Path) -> None:
    file = tmp_path / "history.ndjson"
    columns = {"context": {"source": "retail"}, "event_name": "page_view", "occurred_at": "2025-11-20T10:00:00Z"}
    lines = [
        {"event_id": str(uuid.UUID(int=number % 400)), "anonymous_user_id": f"user_{number % 37}",
         "properties": {"site_id": "shop", "path": f"/{number % 11}"}, **columns}
        for number in range(500)
    ]  # fmt: skip
    texts = [json.dumps(line) for line in lines]
    texts[250] = texts[250].replace('"path"', '"n": 1e400000, "path"')  # refused by Postgres alone: the batch is halved
    file.write_text("\n".join(texts))
    result = import_file(database_url, "events", file)
    assert (result.stored, result.duplicate, result.rejected) == (399, 100, 1)
    assert read_stats(connection, "shop")[0] == result.stored
    assert_exact(connection, least=2)


def test_escapes_do_not_hide_a_visit(connection: psycopg.Connection) -> None:
    assert not may_hold_visits([event_row(), event_row(context='{"source": "ret\\nail"}')])
    hidden = visit_event(1, context='{"so\\u0075rce": "re\\u0074ail"}')
    assert may_hold_visits([event_row(), hidden])
    store(connection, [event_row(5), hidden])
    assert read_stats(connection, "shop")[0] == 1


VISITS = st.lists(
    st.builds(
        lambda number, tenant, site, path, user, name, days: visit_event(
            number,
            tenant_id=("default", "other")[tenant],
            site_id=("a", "b", "ä")[site],
            path="/" + "pq"[path % 2] * (path // 2),
            user_id=(None, "ann", "bob", "cem")[user],
            event_name=("page_view", "page_view", "click", "PAGE_VIEW")[name],
            occurred_at=NOW + timedelta(hours=days * 12),
        ),
        st.integers(0, 60),
        st.integers(0, 1),
        st.integers(0, 2),
        st.integers(0, 25),
        st.integers(0, 3),
        st.integers(0, 3),
        st.integers(-4, 4),
    ),
    max_size=80,
)


@pytest.fixture(scope="module")
def module_connection(postgres_server: str) -> Iterator[psycopg.Connection]:
    """One database for many examples."""
    with migrated_database(postgres_server) as url, psycopg.connect(url, autocommit=True) as own:
        own.execute("INSERT INTO tenants (tenant_id, name) VALUES ('other', 'Other')")
        yield own


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(groups=st.lists(VISITS, min_size=1, max_size=5))
def test_statistics_equal_a_count_over_the_events(
    module_connection: psycopg.Connection, groups: list[list[EventRow]]
) -> None:
    connection = module_connection
    connection.execute(
        "TRUNCATE event_logs, retail_site_totals, retail_path_views, retail_site_users, ingestion_ledger"
    )
    for rows in groups:
        store(connection, rows)
    assert_exact(connection, least=0)
    rows_of = connection.execute("SELECT count(*) FROM retail_site_totals").fetchone()
    totals = {key: stats for key, stats in counted_stats(connection).items() if stats[0] or stats[1]}
    assert rows_of == (len(totals),)


def test_writers_at_once_do_not_deadlock_and_count_exactly(database_url: str, connection: psycopg.Connection) -> None:
    failures: list[BaseException] = []
    start = threading.Barrier(4)

    def write(seed: int) -> None:
        chance = random.Random(seed)
        try:
            with psycopg.connect(database_url, autocommit=True) as own:
                start.wait(30)
                for _ in range(40):
                    store(own, [a_visit(chance) for _ in range(chance.choice((1, 10, 60)))])
        except BaseException as error:
            failures.append(error)

    def a_visit(chance: random.Random) -> EventRow:
        return visit_event(
            chance.randrange(2_000),
            site_id=chance.choice("abc"),
            path=f"/{chance.randrange(30)}",
            user_id=chance.choice((None, *(f"user_{number}" for number in range(40)))),
            occurred_at=NOW - chance.randrange(4) * DAY,
        )

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert_exact(connection, least=15)
