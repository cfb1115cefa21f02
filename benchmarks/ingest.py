"""How fast events and assignments get in, durably, beside the most this Postgres can do: `python -m benchmarks.ingest`.

Starts Postgres and the API as `tidemark up` does, in a temporary home. First writes the very rows the API stores by
COPY, then loads the API with wrk, a row of the table at a time, and counts afterwards what Postgres really has. Ends
with exit code 1 when that is not exactly what was acknowledged.

Latencies are wrk's: from the moment a request is sent, since a connection sends its next one only after the answer
(coordinated omission is not corrected).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from benchmarks.ingest_ceiling import Ceiling, measure_ceilings, sample
from benchmarks.ingest_load import (
    GRACE_SECONDS,
    Answers,
    Request,
    assignment_of_new_users,
    assignment_of_returning_users,
    event_batches,
    make_user_ids,
    send,
    visits,
    wrk_version,
)
from benchmarks.ingest_system import System, disk, started_system
from benchmarks.rollups import machine, say

USERS = 2_000
CONNECTIONS = (16, 64)
BATCHES = (1, 10, 100)
Counted = Literal["mobile", "retail", "new", "returning"]


@dataclass(frozen=True)
class Case:
    """One row of the table: requests of one kind, each with `batch` events or users, over some connections."""

    name: str
    title: str
    kind: Counted
    connections: int
    batch: int
    make: Callable[[Sequence[str]], Request]

    @property
    def stores_events(self) -> bool:
        """Whether its requests hold events."""
        return self.kind in {"mobile", "retail"}


@dataclass(frozen=True)
class Measured:
    """What became of a case. `stored` counts rows in Postgres, `ledger` what the ledger says; -1: not kept there.

    `expected` is what was acknowledged, `possible` that and what was sent without an answer of success.
    """

    case: Case
    answers: Answers
    api_us: float
    postgres_us: float
    wrk_cores: float
    others: float
    api_bytes: int
    stored_after: float
    stored: int
    ledger: int
    expected: int
    possible: int

    @property
    def per_second(self) -> float:
        """Acknowledged events, or users, per second."""
        return self.answers.acknowledged * self.case.batch / self.answers.seconds

    @property
    def is_exact(self) -> bool:
        """Whether Postgres holds all that was acknowledged, once, and nothing else."""
        return self.expected <= self.stored <= self.possible and self.ledger in (-1, self.stored)


def cases() -> list[Case]:
    """Return all rows of the table."""
    rows = []
    for batch in BATCHES:
        for connections in CONNECTIONS:
            name, title = f"events-{batch}-c{connections}", f"`/v1/events`, batch {batch}"
            rows.append(Case(name, title, "mobile", connections, batch, partial(event_batches, batch=batch)))
    for connections in CONNECTIONS:
        rows.append(Case(f"visits-c{connections}", "`/event`", "retail", connections, 1, visits))
    for connections in CONNECTIONS:
        title = "`/v1/assignment`, new users"
        rows.append(
            Case(f"new-users-c{connections}", title, "new", connections, 1, lambda _: assignment_of_new_users())
        )
    for connections in CONNECTIONS:
        name, title = f"returning-users-c{connections}", "`/v1/assignment`, returning users"
        rows.append(Case(name, title, "returning", connections, 1, assignment_of_returning_users))
    return rows


def main(arguments: Sequence[str]) -> None:
    """Measure and print; exits with 1 when a row is inexact."""
    options = _options(arguments)
    chosen = [case for case in cases() if not options.only or case.name.startswith(tuple(options.only))]
    facts: dict[str, Any] = {"machine": machine(), "wrk": wrk_version(), "workers": options.workers}
    with tempfile.TemporaryDirectory(prefix="tidemark-benchmark-", dir=options.folder) as folder:
        home = Path(folder)
        home.chmod(0o755)
        facts |= disk(home)
        with started_system(home, options.workers) as system:
            users = make_user_ids(USERS)
            system.assign(users)
            ceilings = _ceilings(system, users, options) if any(case.kind == "mobile" for case in chosen) else []
            rows = [measure(system, case, users, options.seconds, options.warm_up) for case in chosen]
    copies = [ceiling.rows_per_second for ceiling in ceilings if ceiling.name.startswith("COPY,")]
    print(_json_lines(facts, ceilings, rows, copies) if options.json else _tables(facts, ceilings, rows, copies))
    if not all(row.is_exact for row in rows):
        sys.exit(1)


def measure(system: System, case: Case, users: Sequence[str], seconds: float, warm_up: float) -> Measured:
    """Load the API with one case, wait until everything is in Postgres, and compare."""
    request = case.make(users)
    _load(system, case, request, warm_up)
    if case.stores_events:
        system.empty_events()
    table = "event_logs" if case.stores_events else "assignments"
    rows_before, ledger_before = system.count(table), system.count("ledger")
    with system.usage() as usage:
        answers, stored_after = _load(system, case, request, seconds)
    acknowledged = answers.acknowledged * case.batch
    rows_each = {"new": system.count("running experiments"), "returning": 0}.get(case.kind, 1)
    measured = Measured(
        case,
        answers,
        usage.api_seconds / max(acknowledged, 1) * 1e6,
        usage.postgres_seconds / max(acknowledged, 1) * 1e6,
        answers.cpu_seconds / answers.seconds,
        usage.others,
        usage.api_bytes,
        stored_after,
        system.count(table) - rows_before,
        system.count("ledger") - ledger_before if case.stores_events else -1,
        acknowledged * rows_each,
        (acknowledged + answers.unsettled * case.batch) * rows_each,
    )
    say(f"{case.name}: {measured.per_second:,.0f}/s, p95 {answers.p95:.1f} ms, {_exactness(measured)}")
    if not measured.is_exact:
        say("\n".join(["the API's log says:", *system.complaints()]))
    return measured


def _load(system: System, case: Case, request: Request, seconds: float) -> tuple[Answers, float]:
    """Send requests, wait until their events are in Postgres; return also how long after the last answer that was."""
    ledger = system.count("ledger")
    started = time.monotonic()
    answers = send(system.url, request, case.connections, seconds)
    if not case.stores_events:
        return answers, 0.0
    stored_at = system.wait_until_stored(ledger + answers.acknowledged * case.batch)
    return answers, max(stored_at - started - answers.seconds, 0.0)


def _ceilings(system: System, users: Sequence[str], options: argparse.Namespace) -> list[Ceiling]:
    """Have the API store some events, and write as many like them as fast as possible."""
    case = next(case for case in cases() if case.kind == "mobile" and case.batch == BATCHES[-1])
    _load(system, case, case.make(users), options.warm_up)
    ceilings = measure_ceilings(system, sample(system), *((8, 1) if options.quick else (40, 3)))
    for ceiling in ceilings:
        say(f"{ceiling.name}: {ceiling.rows_per_second:,.0f} rows/s")
    return ceilings


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ingest", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--seconds", type=float, default=10, help="how long each row is measured (default 10)")
    parser.add_argument("--quick", action="store_true", help="2 seconds a row and less of everything: does it work?")
    parser.add_argument("--workers", type=int, default=1, help="API processes (default 1)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only rows whose names begin so, as events-100")
    parser.add_argument("--folder", type=Path, help="where to make the temporary home: a disk that is worth measuring")
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of tables")
    options = parser.parse_args(arguments)
    names = [case.name for case in cases()]
    for start in options.only or []:
        if not any(name.startswith(start) for name in names):
            parser.error(f"--only {start}: no row begins so; there are {', '.join(names)}")
    if options.quick:
        options.seconds = min(options.seconds, 2)
    options.warm_up = min(options.seconds, 2)
    return options


def _tables(
    facts: dict[str, Any], ceilings: Sequence[Ceiling], rows: Sequence[Measured], copies: Sequence[float]
) -> str:
    lines = [
        f"{facts['machine']}, {facts['wrk']}, API processes: {facts['workers']}",
        f"Disk: {facts['file_system']}, fdatasync of 4 KiB {facts['fdatasync_p50']:.2f} ms (p95"
        f" {facts['fdatasync_p95']:.2f} ms): one commit after the other, at most"
        f" {1e3 / facts['fdatasync_p50']:,.0f} a second",
    ]
    if ceilings:
        lines += ["", "| without the API | rows/s | Postgres CPU us/row | other programs, cores |", "|---|---|---|---|"]
        lines += [
            f"| {ceiling.name} | {ceiling.rows_per_second:,.0f}"
            f" | {ceiling.postgres_us_per_row:.1f} | {ceiling.others:.2f} |"
            for ceiling in ceilings
        ]
    lines += [
        "",
        "| through the API | connections | requests/s | events/s | of COPY in 1 / 2 sessions | p50 / p95 / p99 ms"
        " | CPU us/event: API + Postgres | wrk, other programs: cores | API MiB | refused, failed"
        " | stored = acknowledged |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *(_row(row, copies) for row in rows),
    ]
    for row in rows:
        if row.case.kind == "retail":
            shortest = "at most " if row.stored_after < GRACE_SECONDS + 0.5 else ""
            lines += ["", f"{row.case.name}: all in Postgres {shortest}{row.stored_after:.1f} s after the last answer"]
    return "\n".join(lines)


def _row(row: Measured, copies: Sequence[float]) -> str:
    answers = row.answers
    events = f"{row.per_second:,.0f}" if row.case.stores_events else ""
    ratios = " / ".join(f"{ratio:.0%}" for ratio in _ratios(row, copies))
    cells = (
        row.case.title,
        str(row.case.connections),
        f"{answers.acknowledged / answers.seconds:,.0f}",
        events,
        ratios,
        f"{answers.p50:.1f} / {answers.p95:.1f} / {answers.p99:.1f}",
        f"{row.api_us:.1f} + {row.postgres_us:.1f}",
        f"{row.wrk_cores:.2f}, {row.others:.2f}",
        f"{row.api_bytes / 2**20:.0f}",
        f"{answers.refused}, {answers.failed}",
        _exactness(row),
    )
    return f"| {' | '.join(cells)} |"


def _ratios(row: Measured, copies: Sequence[float]) -> list[float]:
    """Return an events row's rate as parts of the rates of COPY alone."""
    return [row.per_second / copy for copy in copies] if row.case.kind == "mobile" else []


def _exactness(row: Measured) -> str:
    if row.is_exact and row.expected == row.possible:
        return f"yes: {row.stored:,}"
    span = f"{row.expected:,}" if row.expected == row.possible else f"{row.expected:,} to {row.possible:,}"
    ledger = "" if row.ledger in (-1, row.stored) else f", ledger {row.ledger:,}"
    return f"{'yes' if row.is_exact else 'NO'}: {row.stored:,} stored, {span} acknowledged{ledger}"


def _json_lines(
    facts: dict[str, Any], ceilings: Sequence[Ceiling], rows: Sequence[Measured], copies: Sequence[float]
) -> str:
    lines: list[dict[str, Any]] = [facts]
    lines += [{**asdict(ceiling), "rows_per_second": ceiling.rows_per_second} for ceiling in ceilings]
    for row in rows:
        values = {name: value for name, value in vars(row).items() if name not in {"case", "answers"}}
        case = {"name": row.case.name, "connections": row.case.connections, "batch": row.case.batch}
        lines.append(
            {
                **case,
                **asdict(row.answers),
                **values,
                "per_second": row.per_second,
                "of_copy": _ratios(row, copies),
                "exact": row.is_exact,
            }
        )
    return "\n".join(map(json.dumps, lines))


if __name__ == "__main__":
    main(sys.argv[1:])
