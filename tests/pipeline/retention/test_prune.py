"""Old events leave Postgres once they are in the lake, and are counted once for ever after."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.database import AdvisoryLock, LockTakenError, advisory_lock
from pipeline.export.run import SourceChangedError, export
from pipeline.ingestion.conservation import conservation
from pipeline.ingestion.event_store import EventRow, Lot, StoreResult, prepare_to_begin, store, write
from pipeline.lake.table import Lake
from pipeline.retention import prune as prune_module
from pipeline.retention.prune import PruneError, PruneResult, prune
from pipeline.settings import Settings
from tests.makers import NOW, event_row, event_rows
from tests.pipeline.lake.lake_reading import lake_rows
from tests.waiting import wait_until

AS_OF = NOW
HOT_DAYS = 30
OLD = NOW - timedelta(days=HOT_DAYS + 5)
BEFORE = date(2026, 1, 20)


@dataclass(frozen=True)
class World:
    """A database, its lake, and what one does with them."""

    database_url: str
    connection: psycopg.Connection
    home: Path

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home, hot_days=HOT_DAYS)

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.lake)

    def export(self) -> int:
        return export(self.database_url, self.lake).rows

    def prune(self, as_of: datetime = AS_OF, *, dry_run: bool = False, patience: float = 20) -> PruneResult:
        return prune(self.settings, self.database_url, self.lake, as_of, dry_run=dry_run, patience=patience)

    def stored(self) -> list[str]:
        rows = self.connection.execute("SELECT event_id::text FROM event_logs ORDER BY 1").fetchall()
        return [event_id for (event_id,) in rows]

    def noted(self) -> list[str]:
        rows = self.connection.execute("SELECT event_id::text FROM removed_event_ids ORDER BY 1").fetchall()
        return [event_id for (event_id,) in rows]

    def in_lake(self) -> list[str]:
        return sorted(row["event_id"] for row in lake_rows(self.lake))

    def activity(self, condition: str) -> bool:
        """Whether a connection to this database is in some state (a condition on pg_stat_activity)."""
        sessions = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        found = self.connection.execute(f"{sessions} AND {condition}".encode())
        return found.fetchone() is not None

    def problems(self) -> list[str]:
        return conservation(self.settings, self.database_url, self.lake.snapshot()).problems


@pytest.fixture
def world(database_url: str, connection: psycopg.Connection, tmp_path: Path) -> World:
    return World(database_url, connection, tmp_path)


def old_row(number: int, **fields: object) -> EventRow:
    at = OLD + timedelta(minutes=number)
    return event_row(number, **{"occurred_at": at - timedelta(hours=1), "received_at": at, **fields})


def ids(rows: list[EventRow]) -> list[str]:
    return sorted(row.event_id for row in rows)


def test_old_events_go_and_young_ones_stay(world: World) -> None:
    old, young = [old_row(number) for number in range(10)], [event_row(number) for number in range(100, 105)]
    store(world.connection, old + young)
    world.export()
    result = world.prune()
    assert (result.before, result.found, result.removed, result.held) == (BEFORE, 10, 10, ())
    assert world.stored() == ids(young)
    assert world.noted() == ids(old)
    assert world.in_lake() == ids(old + young)
    assert world.problems() == []
    assert world.prune().found == 0


def test_the_boundary_is_the_start_of_a_utc_day_of_receipt(world: World) -> None:
    edge = datetime(2026, 1, 20, tzinfo=UTC)
    last_to_go = old_row(1, received_at=edge - timedelta(microseconds=1))
    first_to_stay = old_row(2, received_at=edge, occurred_at=edge - timedelta(days=100))
    store(world.connection, [last_to_go, first_to_stay])
    world.export()
    world.prune(AS_OF.replace(hour=0))
    assert world.stored() == [first_to_stay.event_id]


def test_each_tenant_keeps_its_events_as_long_as_it_wants(world: World) -> None:
    for tenant, hot_days in (("short", 2), ("long", 90), ("usual", None)):
        world.connection.execute("INSERT INTO tenants VALUES (%s, %s)", [tenant, tenant])
        world.connection.execute("UPDATE tenants SET hot_days = %s WHERE tenant_id = %s", [hot_days, tenant])
    ages = (1, 3, 31, 91)
    for number, (tenant, age) in enumerate((tenant, age) for tenant in ("short", "long", "usual") for age in ages):
        at = NOW - timedelta(days=age)
        store(world.connection, [event_row(number, tenant_id=tenant, occurred_at=at, received_at=at)])
    world.export()
    assert world.prune().removed == 6
    left = world.connection.execute(
        "SELECT tenant_id, array_agg((%s::date - received_at::date) ORDER BY received_at DESC) FROM event_logs"
        " GROUP BY 1 ORDER BY 1",
        [NOW.date()],
    ).fetchall()
    assert left == [("long", [1, 3, 31]), ("short", [1]), ("usual", [1, 3])]
    assert world.problems() == []


def test_a_dry_run_counts_and_changes_nothing(world: World) -> None:
    store(world.connection, [old_row(1)])
    world.export()
    result = world.prune(dry_run=True)
    assert (result.found, result.removed, result.dry_run) == (1, 0, True)
    assert (len(world.stored()), world.noted()) == (1, [])


def test_what_is_not_exported_stays(world: World) -> None:
    store(world.connection, [old_row(1)])
    assert world.prune().found == 0, "there is no lake"
    world.export()
    store(world.connection, [old_row(2)])
    assert world.prune().removed == 1
    assert world.stored() == [old_row(2).event_id]
    world.export()
    assert world.prune().removed == 1
    assert world.problems() == []


def test_a_day_that_the_lake_does_not_confirm_stays_and_is_named(world: World) -> None:
    store(world.connection, [old_row(number) for number in range(4)])
    store(world.connection, [old_row(9, occurred_at=OLD - timedelta(days=3))])
    store(world.connection, [old_row(20, tenant_id="default", occurred_at=OLD - timedelta(days=9))])
    world.export()
    DeltaTable(world.lake.location).delete(f"event_id = '{old_row(2).event_id}'")
    result = world.prune()
    day = (OLD - timedelta(hours=1)).date()
    assert result.held == (f"{day} of tenant default: 4 exported events by Postgres, 3 in the lake",)
    assert (result.found, result.removed) == (6, 2)
    assert world.stored() == ids([old_row(number) for number in range(4)])


def test_events_exchanged_in_the_lake_are_no_proof(world: World) -> None:
    store(world.connection, [old_row(1)])
    world.export()
    table = DeltaTable(world.lake.location)
    table.update({"event_id": "'00000000-0000-4000-8000-000000000000'"})
    assert (world.prune().removed, len(world.stored())) == (0, 1)


@pytest.mark.parametrize(
    "change",
    [{}, {"properties": '{"other": 1}'}, {"occurred_at": NOW}, {"occurred_at": NOW, "anonymous_user_id": "x"}],
    ids=["as it was", "another payload", "another day", "another user"],
)
@pytest.mark.parametrize("prepared", [False, True])
def test_a_pruned_event_that_is_sent_again_is_a_duplicate(
    world: World, change: dict[str, object], *, prepared: bool
) -> None:
    store(world.connection, [old_row(1), old_row(2)])
    world.export()
    world.prune()
    again = [old_row(1, **{"received_at": NOW, **change}), event_row(500)]
    if prepared:
        prepare_to_begin(world.connection)
        result = write(world.connection, [Lot(again)], begin=True)
        world.connection.execute("COMMIT")
    else:
        result = store(world.connection, again)
    assert result == StoreResult(stored=1, duplicate=1, conflict=0)
    assert world.export() == 1
    assert world.in_lake() == ids([old_row(1), old_row(2), event_row(500)])
    assert world.problems() == []


def test_the_same_id_of_another_tenant_is_another_event(world: World) -> None:
    world.connection.execute("INSERT INTO tenants (tenant_id, name) VALUES ('other', 'Other')")
    store(world.connection, [old_row(1)])
    world.export()
    world.prune()
    assert store(world.connection, [old_row(1, tenant_id="other")]).stored == 1
    world.export()
    world.prune()
    assert store(world.connection, [old_row(1, tenant_id="other"), old_row(1)]).duplicate == 2
    assert world.problems() == []


def test_a_spool_that_repeats_a_pruned_event_books_nothing(world: World) -> None:
    store(world.connection, [old_row(1)])
    world.export()
    world.prune()
    with world.connection.transaction():
        assert write(world.connection, [Lot([old_row(1)])], booked=True).stored == 0
    assert world.problems() == []


def test_an_event_that_is_repeated_while_it_is_pruned_counts_once(world: World) -> None:
    """The writer looked before the id was noted, is held up in the middle, and must not find the row gone then."""
    first, old = event_row(0), old_row(1)
    store(world.connection, [old])
    world.export()
    with (
        ThreadPoolExecutor(2) as pool,
        psycopg.connect(world.database_url, autocommit=True) as late,
        psycopg.connect(world.database_url) as holder,
    ):
        holder.execute("SELECT 1")  # opens the transaction that the event shall join
        write(holder, [Lot([first])])  # not committed: whoever stores the same event waits
        storing = pool.submit(store, late, [first, old])
        wait_until(lambda: world.activity("wait_event_type = 'Lock'"), "the writer waits for the holder")
        pruning = pool.submit(world.prune)
        wait_until(lambda: world.noted() == [old.event_id], "the id is noted")
        looks = "application_name = 'tidemark-prune' AND query LIKE '%pg_snapshot_xmin%'"
        wait_until(lambda: pruning.done() or world.activity(looks), "the prune waits, or has ended")
        assert not pruning.done()
        holder.rollback()
        assert storing.result(30) == StoreResult(stored=1, duplicate=1, conflict=0)
        assert pruning.result(30).removed == 1
    assert world.export() == 1
    assert world.in_lake() == ids([first, old])
    assert world.problems() == []


def test_without_waiting_for_writers_the_event_would_come_back(world: World) -> None:
    """The race is real: a writer that looked before the ids were noted waits for the removal, and then stores."""
    store(world.connection, [old_row(1)])
    world.export()
    with (
        psycopg.connect(world.database_url) as remover,
        psycopg.connect(world.database_url, autocommit=True) as late,
        ThreadPoolExecutor(1) as pool,
    ):
        remover.execute("DELETE FROM event_logs")  # as a prune that did not wait would have done
        storing = pool.submit(store, late, [old_row(1)])
        wait_until(lambda: world.activity("wait_event_type = 'Lock'"), "the writer waits")
        remover.execute("INSERT INTO removed_event_ids VALUES (%s, 'default')", [old_row(1).event_id])
        remover.commit()
        assert storing.result(30).stored == 1


def test_a_transaction_that_stays_open_stops_the_prune_before_anything_is_lost(world: World) -> None:
    store(world.connection, [old_row(1)])
    world.export()
    with psycopg.connect(world.database_url) as late:
        late.execute("SELECT pg_current_xact_id()")
        with pytest.raises(PruneError, match="pg_stat_activity"):
            world.prune(patience=0.1)
        assert len(world.stored()) == 1
        assert store(world.connection, [old_row(1)]).duplicate == 1, "noted already, and still there"
    assert world.prune().removed == 1
    assert world.noted() == [old_row(1).event_id], "noted once"
    assert world.problems() == []


def test_one_prune_at_a_time(world: World) -> None:
    with (
        psycopg.connect(world.database_url, autocommit=True) as other,
        advisory_lock(other, AdvisoryLock.PRUNE),
        pytest.raises(LockTakenError, match="prune"),
    ):
        world.prune()


def test_more_events_than_one_batch(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune_module, "BATCH_ROWS", 7)
    rows = event_rows(100, seed=3, days=4, end=OLD)
    same_moment = [old_row(number, received_at=OLD) for number in range(1_000, 1_030)]
    store(world.connection, rows + same_moment)
    world.export()
    assert world.prune().removed == 130
    assert (world.stored(), world.noted()) == ([], ids(rows + same_moment))
    assert world.problems() == []


def test_an_interrupted_prune_goes_on(world: World) -> None:
    rows = event_rows(60, seed=4, days=5, end=OLD)
    store(world.connection, rows)
    world.export()

    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune(world.settings, world.database_url, world.lake, AS_OF, rows_done=stop)
    assert 0 < len(world.stored()) < 60
    assert world.problems() == []
    assert world.prune().removed + len(set(world.noted())) > 60
    assert (world.stored(), world.noted(), world.problems()) == ([], ids(rows), [])


def test_a_rebuild_of_the_lake_keeps_what_is_nowhere_else(world: World) -> None:
    old, young = event_rows(40, seed=5, days=3, end=OLD), event_rows(20, seed=6, days=3)
    store(world.connection, old + young)
    world.export()
    before = lake_rows(world.lake)
    world.prune()
    rebuilt = export(world.database_url, world.lake, rebuild=True)
    assert rebuilt.rows == 60
    assert lake_rows(world.lake) == before
    assert world.problems() == []
    assert (world.export(), store(world.connection, old).duplicate) == (0, 40)


def test_a_rebuild_takes_what_came_back_to_postgres_from_there(world: World) -> None:
    """As after a restore of a backup that still had the rows: they must not be in the lake twice."""
    store(world.connection, [old_row(1), old_row(2)])
    world.export()
    world.connection.execute("CREATE TABLE backup AS SELECT * FROM event_logs")
    world.prune()
    columns = ", ".join(
        name
        for (name,) in world.connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'backup' AND column_name <> 'stamp'"
        )
    )
    world.connection.execute(
        f"INSERT INTO event_logs ({columns}) SELECT {columns} FROM backup WHERE event_id = %s".encode(),
        [old_row(1).event_id],
    )
    export(world.database_url, world.lake, rebuild=True)
    assert world.in_lake() == ids([old_row(1), old_row(2)])


def test_a_plan_made_while_nothing_was_pruned_is_not_kept(world: World) -> None:
    """It would read every id for each group: cheap in an empty table, ruinous in a full one."""
    prepare_to_begin(world.connection)
    world.connection.execute("VACUUM ANALYZE removed_event_ids")
    for number in range(8):  # after the fifth, the server keeps one plan
        write(world.connection, [Lot([event_row(10_000 + number)])], begin=True)
        world.connection.execute("COMMIT")
    store(world.connection, event_rows(3_000, seed=8, days=2, end=OLD))
    world.export()
    world.prune()
    world.connection.execute("BEGIN")
    plan = world.connection.execute("EXPLAIN EXECUTE tidemark_store_events").fetchall()
    world.connection.execute("ROLLBACK")
    lines = [line.strip() for (line,) in plan if "removed_event_ids" in line]
    assert any("removed_event_ids_event_id" in line for line in lines), lines
    assert not any("Seq Scan" in line for line in lines), lines


def test_a_lake_that_is_gone_with_pruned_events_is_missed(world: World) -> None:
    store(world.connection, [old_row(1), event_row(2)])
    world.export()
    world.prune()
    Path(world.lake.location).rename(world.home / "elsewhere")
    with pytest.raises(SourceChangedError, match="1 events were pruned"):
        world.export()
    assert world.lake.snapshot() is None
    assert export(world.database_url, world.lake, rebuild=True).rows == 1
    assert world.problems() != []


def test_a_prune_of_another_database_s_lake_is_refused(world: World, postgres_server: str) -> None:
    store(world.connection, [old_row(1)])
    world.export()
    with pytest.raises(SourceChangedError, match="another database"):
        prune(world.settings, f"{postgres_server}/tidemark", world.lake, AS_OF)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_order_of_storing_exporting_and_pruning_counts_each_event_once(world: World, data: st.DataObject) -> None:
    numbers = st.lists(st.integers(0, 30), min_size=1, max_size=8)
    sent: set[str] = {*world.noted(), *world.stored()}
    for step in data.draw(st.lists(st.sampled_from(["store", "export", "prune", "rebuild"]), max_size=12)):
        if step == "store":
            rows = [
                old_row(number, received_at=OLD + timedelta(days=data.draw(st.integers(0, 12))))
                for number in data.draw(numbers)
            ]
            sent |= {row.event_id for row in rows}
            store(world.connection, rows)
        elif step == "prune":
            world.prune()
        else:
            export(world.database_url, world.lake, rebuild=step == "rebuild")
    world.export()
    assert world.in_lake() == sorted(sent) or not sent
    assert world.problems() == []
