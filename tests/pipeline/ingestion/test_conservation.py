"""Every event is accounted for, and whatever breaks a link of the chain is named with its tenant and day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake

from pipeline.export.run import export
from pipeline.ingestion.conservation import BY_ID, Conservation, conservation
from pipeline.ingestion.dead_letters import Cap, DeadLetter, Selection, newest_id, settle, take
from pipeline.ingestion.event_store import LedgerKey, Lot, store, write
from pipeline.lake.table import Lake
from pipeline.settings import Settings
from tests.makers import NOW, event_row, event_rows

DAY = NOW.date()
BEFORE = DAY - timedelta(days=1)
LEDGER, POSTGRES, LETTERS, LAKE = (
    "received = stored + duplicate + rejected",
    "stored = rows in Postgres + pruned + erased",
    "rejected = letters + replayed + dropped + not kept",
    "exported + pruned = rows in the lake, by day of receipt",
)


@dataclass(frozen=True)
class Installation:
    """A database and a lake with events of several days and of both tenants, some of them not exported yet."""

    database_url: str
    connection: psycopg.Connection
    settings: Settings

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.lake)

    def check(self) -> Conservation:
        return conservation(self.settings, self.database_url, self.lake.snapshot())

    def broken(self) -> dict[str, tuple[str, ...]]:
        return {link.name: link.problems for link in self.check().links if not link.ok}

    def change(self, statement: str, *values: object) -> None:
        done = self.connection.execute(statement.encode(), values)
        assert done.rowcount == 1, "the change must be one"


def letter(tenant_id: str = "default", *, days_ago: int = 0) -> DeadLetter:
    return DeadLetter(tenant_id, NOW - timedelta(days=days_ago), "mobile", 0, "no", b"{}", b"1")


@pytest.fixture
def installation(database_url: str, connection: psycopg.Connection, tmp_path: Path) -> Iterator[Installation]:
    connection.execute("INSERT INTO tenants (tenant_id, name) VALUES ('other', 'Other')")
    place = Installation(database_url, connection, Settings(home=tmp_path))
    rows = event_rows(200)
    store(connection, [*rows, *rows[:20]], {LedgerKey("default", DAY): 2})
    cap = Cap(letters=4)
    with connection.transaction():
        write(connection, [Lot([])], [letter(days_ago=1), letter(), letter(), letter("other")], cap=cap)
    with connection.transaction():
        write(connection, [Lot([event_row(1, tenant_id="other")])], [letter(), letter()], cap=cap)
    with connection.transaction():
        settle(connection, take(connection, Selection(), 0, newest_id(connection), letters=1, size=1), [])
    export(database_url, place.lake)
    store(connection, [event_row(number) for number in range(7)])
    yield place


def test_all_links_hold_and_show_their_sums(installation: Installation) -> None:
    found = installation.check()
    assert found.problems == []
    assert [(link.name, link.left, link.right) for link in found.links] == [
        (LEDGER, 236, 236),
        (POSTGRES, 208, 208),
        (LETTERS, 8, 8),
        (LAKE, 201, 201),
        (BY_ID, 201, 201),
    ]
    assert found.awaiting_export == 7
    export(installation.database_url, installation.lake)
    after = installation.check()
    assert (after.problems, after.awaiting_export) == ([], 0)
    assert [link.left for link in after.links] == [236, 208, 8, 208, 208]


def test_an_installation_without_events_or_lake_is_in_order(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    empty = Installation(database_url, connection, Settings(home=tmp_path))
    assert empty.check().problems == []
    store(connection, [event_row()], {LedgerKey("default", DAY): 1})
    assert (empty.check().problems, empty.check().awaiting_export) == ([], 1)


def test_a_row_lost_from_postgres_before_its_export(installation: Installation) -> None:
    installation.change("DELETE FROM event_logs WHERE event_id = %s", event_row(3).event_id)
    assert installation.broken() == {
        POSTGRES: (f"received on {DAY} for tenant default: {stored_on(installation)} events stored by the ledger,"
                   f" {stored_on(installation) - 1} in Postgres, pruned or erased",),
    }  # fmt: skip


def stored_on(installation: Installation) -> int:
    row = installation.connection.execute(
        "SELECT sum(stored)::bigint FROM ingestion_ledger WHERE tenant_id = 'default' AND day = %s", [DAY]
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_row_lost_from_postgres_after_its_export(installation: Installation) -> None:
    installation.change("DELETE FROM event_logs WHERE tenant_id = 'other'")
    assert installation.broken() == {
        POSTGRES: (
            f"received on {DAY} for tenant other: 1 events stored by the ledger, 0 in Postgres, pruned or erased",
        ),
        LAKE: (f"received on {DAY} for tenant other: 0 exported events in Postgres or pruned, 1 in the lake",),
        BY_ID: (f"{DAY} of tenant other: 0 exported events by Postgres, 1 in the lake",),
    }


def test_a_row_that_slipped_into_postgres(installation: Installation) -> None:
    installation.change(
        "INSERT INTO event_logs (event_id, anonymous_user_id, event_name, occurred_at, received_at)"
        " VALUES (gen_random_uuid(), 'u', 'app_opened', '2026-01-01', '2026-01-02')"
    )
    assert installation.broken() == {
        POSTGRES: (
            "received on 2026-01-02 for tenant default: 0 events stored by the ledger, 1 in Postgres, pruned or erased",
        )
    }


def test_a_row_that_slipped_into_the_lake(installation: Installation) -> None:
    table = DeltaTable(installation.lake.location)
    rows = table.to_pyarrow_table()
    rows = rows.filter(pc.equal(rows["tenant_id"], "other"))
    assert rows.num_rows == 1
    ids = pa.array(["00000000-0000-4000-8000-000000000000"], rows.schema.field("event_id").type)
    write_deltalake(table, rows.set_column(rows.schema.get_field_index("event_id"), "event_id", ids), mode="append")
    assert installation.broken() == {
        LAKE: (f"received on {DAY} for tenant other: 1 exported events in Postgres or pruned, 2 in the lake",),
        BY_ID: (f"{DAY} of tenant other: 1 exported events by Postgres, 2 in the lake",),
    }


def test_a_row_lost_from_the_lake(installation: Installation) -> None:
    DeltaTable(installation.lake.location).delete("tenant_id = 'other'")
    assert installation.broken() == {
        LAKE: (f"received on {DAY} for tenant other: 1 exported events in Postgres or pruned, 0 in the lake",),
        BY_ID: (f"{DAY} of tenant other: 1 exported events by Postgres, 0 in the lake",),
    }


def test_a_ledger_that_does_not_balance_in_itself(installation: Installation) -> None:
    installation.connection.execute("ALTER TABLE ingestion_ledger DROP CONSTRAINT ingestion_ledger_check")
    installation.change("UPDATE ingestion_ledger SET received = received + 1 WHERE tenant_id = 'other'")
    assert installation.broken() == {
        LEDGER: (f"received on {DAY} for tenant other: 3 events received by the ledger, 2 accounted for in it",)
    }


@pytest.mark.parametrize(("column", "link"), [("stored", POSTGRES), ("rejected", LETTERS)])
def test_a_ledger_row_that_was_changed_with_care(installation: Installation, column: str, link: str) -> None:
    installation.change(
        f"UPDATE ingestion_ledger SET received = received + 1, {column} = {column} + 1 WHERE tenant_id = 'other'"
    )
    broken = installation.broken()
    assert list(broken) == [link]
    assert broken[link][0].startswith(f"received on {DAY} for tenant other: 2 events {column} by the ledger, 1 ")


def test_a_day_that_the_ledger_lost(installation: Installation) -> None:
    installation.change("DELETE FROM ingestion_ledger WHERE tenant_id = 'other'")
    assert list(installation.broken()) == [POSTGRES, LETTERS]


def test_a_letter_that_was_deleted(installation: Installation) -> None:
    installation.change("DELETE FROM dead_letters WHERE tenant_id = 'other'")
    found = installation.check()
    assert found.problems == [
        f"received on {DAY} for tenant other: 1 events rejected by the ledger, 0 dead letters kept or accounted for",
        "tenant other: the cap counts 1 dead letters of 3 bytes, there are 0 of 0",
    ]


@pytest.mark.parametrize(
    ("column", "day"), [("replayed", DAY), ("dropped", BEFORE), ("not_kept", DAY)]
)  # the oldest letter was dropped, the next one replayed
def test_an_account_of_letters_that_was_changed(installation: Installation, column: str, day: date) -> None:
    installation.change(
        f"UPDATE dead_letter_ledger SET {column} = {column} + 1 WHERE day = %s AND slot ="
        f" (SELECT slot FROM dead_letter_ledger WHERE day = %s AND {column} > 0)",
        day, day,
    )  # fmt: skip
    broken = installation.broken()
    assert list(broken) == [LETTERS]
    assert broken[LETTERS][0].startswith(f"received on {day} for tenant default:")
