"""Conservation of events: every one that was ever received is accounted for, from the ledger to the lake.

A chain of equations, each for every tenant and UTC day of receipt, so that what does not balance names its day:

    received = stored + duplicate + rejected            the ledger in itself
    stored   = rows in Postgres + pruned + erased       nothing lost or slipped in after the commit
    rejected = letters + replayed + dropped + not kept  refused events are kept, or it is known why not
    exported + pruned = rows in the lake                by day of receipt; by day of occurrence `lake_matches_postgres`
                                                        compares the very ids

Pruned events are in the lake alone, erased ones are nowhere.

Reads everything and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import NamedTuple

from pipeline.database import connect
from pipeline.engine import duckdb_engine, scratch_folder
from pipeline.lake.table import LakeSnapshot
from pipeline.rollups.checks import DayBalance, lake_matches_postgres
from pipeline.settings import Settings
from pipeline.statements import statement


@dataclass(frozen=True)
class DayAccount:
    """One tenant's UTC day of receipt: what the ledger says, and what is found. All are numbers of events."""

    tenant_id: str
    day: date
    received: int = 0
    stored: int = 0
    duplicate: int = 0
    rejected: int = 0
    in_postgres: int = 0
    exported: int = 0
    letters: int = 0
    replayed: int = 0
    dropped: int = 0
    not_kept: int = 0
    pruned: int = 0
    erased: int = 0
    in_lake: int = 0


@dataclass(frozen=True)
class Link:
    """One equation of the chain: both sides over all accounts, and a sentence for each account that is off."""

    name: str
    left: int
    right: int
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every account balances."""
        return not self.problems


@dataclass(frozen=True)
class Conservation:
    """The chain's links in order, and what else must hold for them to be kept."""

    links: tuple[Link, ...]
    awaiting_export: int
    wrong_totals: tuple[str, ...]

    @property
    def problems(self) -> list[str]:
        """A sentence for everything that is off; none: every event is accounted for."""
        return [problem for link in self.links for problem in link.problems] + list(self.wrong_totals)


def conservation(settings: Settings, database_url: str, snapshot: LakeSnapshot | None) -> Conservation:
    """Compare the ledger, Postgres and one version of the lake, account by account.

    What is not exported yet counts for Postgres alone. What waits in an API process's spool is in no account yet.
    """
    watermark = 0 if snapshot is None or snapshot.exported_xid is None else snapshot.exported_xid
    with connect(database_url, application="tidemark-check") as connection:
        rows = connection.execute(statement("checks/compare_ledger"), {"watermark": watermark}).fetchall()
        wrong_totals = connection.execute(statement("checks/compare_letter_totals")).fetchall()
    found = {(row[0], row[1]): DayAccount(*row) for row in rows}
    in_lake = _received_in_lake(settings, snapshot)
    accounts = [
        replace(found.get(key, DayAccount(*key)), in_lake=in_lake.get(key, 0))
        for key in sorted(found.keys() | in_lake.keys())
    ]
    by_id = _compared_by_id(lake_matches_postgres(settings, database_url, snapshot))
    return Conservation(
        (*(_link(equation, accounts) for equation in EQUATIONS), by_id),
        sum(account.in_postgres - account.exported for account in accounts),
        tuple(TOTALS.format(*row) for row in wrong_totals),
    )


class _Equation(NamedTuple):
    """A link to be: its two sides of an account, and how to say that they differ."""

    name: str
    left: Callable[[DayAccount], int]
    right: Callable[[DayAccount], int]
    words: str


EQUATIONS = (
    _Equation(
        "received = stored + duplicate + rejected",
        lambda account: account.received,
        lambda account: account.stored + account.duplicate + account.rejected,
        "{left} events received by the ledger, {right} accounted for in it",
    ),
    _Equation(
        "stored = rows in Postgres + pruned + erased",
        lambda account: account.stored,
        lambda account: account.in_postgres + account.pruned + account.erased,
        "{left} events stored by the ledger, {right} in Postgres, pruned or erased",
    ),
    _Equation(
        "rejected = letters + replayed + dropped + not kept",
        lambda account: account.rejected,
        lambda account: account.letters + account.replayed + account.dropped + account.not_kept,
        "{left} events rejected by the ledger, {right} dead letters kept or accounted for",
    ),
    _Equation(
        "exported + pruned = rows in the lake, by day of receipt",
        lambda account: account.exported + account.pruned,
        lambda account: account.in_lake,
        "{left} exported events in Postgres or pruned, {right} in the lake",
    ),
)
BY_ID = "exported + pruned = rows in the lake, by day of occurrence and id"
TOTALS = "tenant {0}: the cap counts {1} dead letters of {2} bytes, there are {3} of {4}"


def _link(equation: _Equation, accounts: Sequence[DayAccount]) -> Link:
    sides = [(account, equation.left(account), equation.right(account)) for account in accounts]
    return Link(
        equation.name,
        sum(left for _, left, _ in sides),
        sum(right for _, _, right in sides),
        tuple(
            f"received on {account.day} for tenant {account.tenant_id}: "
            + equation.words.format(left=left, right=right)
            for account, left, right in sides
            if left != right
        ),
    )


def _compared_by_id(days: Sequence[DayBalance]) -> Link:
    return Link(
        BY_ID,
        sum(day.postgres.rows for day in days),
        sum(day.lake.rows for day in days),
        tuple(str(day) for day in days if not day.matches),
    )


def _received_in_lake(settings: Settings, snapshot: LakeSnapshot | None) -> dict[tuple[str, date], int]:
    """Count the lake's events by tenant and UTC day of receipt."""
    paths = [] if snapshot is None else snapshot.paths()
    if not paths:
        return {}
    with scratch_folder(settings) as scratch, duckdb_engine(settings, scratch) as engine:
        rows = engine.execute(statement("checks/count_lake_receipts"), {"paths": paths}).fetchall()
    return {(tenant_id, day): count for tenant_id, day, count in rows}
