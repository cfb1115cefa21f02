"""What this process counts about itself, and functions that the parts call to count it.

Every metric that a part reports is defined here, with its meaning. A call costs one to three microseconds, may come
from any thread, and never fails a request. Labels come from fixed sets: nothing a client sends becomes one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, values

from api.metric_files import reserve_files

reserve_files()
# The library chose between files and memory when it was imported, before the files were there.
choose_values: Callable[[], Any] = values.get_value_class
values.ValueClass = choose_values()
# The times at which counters began double the page, and nobody asks for them.
leave_out_creation: Callable[[], None] = disable_created_metrics
leave_out_creation()

REGISTRY = CollectorRegistry()
OTHER_ROUTE = "other"
# Counted apart from other 5xx, which are defects.
UNAVAILABLE = 503
PROTOCOLS = ("mobile", "retail", "campaign")
OUTCOMES = ("stored", "duplicate", "conflict", "rejected")
REFUSALS = ("queue_full", "spool_full", "spool_unavailable", "database_unavailable")
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_SIZES = (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000)

_processes = Gauge(
    "tidemark_api_processes",
    "Processes of this API that are running.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
_requests = Histogram(
    "tidemark_http_request_seconds",
    "Time from the head of a request to its answer, by route and class of status.",
    ("route", "status"),
    buckets=_SECONDS,
    registry=REGISTRY,
)
_events = Counter(
    "tidemark_events",
    "Events of answered requests by protocol and outcome; conflict counts the duplicates that had another payload.",
    ("protocol", "outcome"),
    registry=REGISTRY,
)
_commit_seconds = Histogram(
    "tidemark_commit_seconds",
    "Time of one transaction that stores a group of requests.",
    buckets=_SECONDS,
    registry=REGISTRY,
)
_commit_rows = Histogram(
    "tidemark_commit_rows",
    "Events stored by one transaction.",
    buckets=_SIZES,
    registry=REGISTRY,
)
_commit_requests = Histogram(
    "tidemark_commit_requests",
    "Requests stored by one transaction.",
    buckets=_SIZES,
    registry=REGISTRY,
)
_commit_failures = Counter(
    "tidemark_commit_failures",
    "Transactions that stored nothing: the database was away (unavailable), or one event of the group could not be "
    "stored (poison; its neighbours are then stored without it).",
    ("reason",),
    registry=REGISTRY,
)
_queue_requests = Gauge(
    "tidemark_queue_requests",
    "Requests waiting for a transaction.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
_queue_bytes = Gauge(
    "tidemark_queue_bytes",
    "Bytes of the requests waiting for a transaction.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
_refused = Counter(
    "tidemark_refused_requests",
    "Requests answered 503 with nothing of them kept, by reason.",
    ("reason",),
    registry=REGISTRY,
)
_limited = Counter(
    "tidemark_rate_limited_requests",
    "Requests answered 429: their tenant had used up its rate.",
    registry=REGISTRY,
)
_spool_deliveries = Gauge(
    "tidemark_spool_deliveries",
    "Requests in the spool: durable on this machine, not yet in Postgres.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
_spool_bytes = Gauge(
    "tidemark_spool_bytes",
    "Bytes of the requests in the spool.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
_spool_oldest = Gauge(
    "tidemark_spool_oldest_seconds",
    "Age of the oldest request in the spool; 0 when it is empty.",
    multiprocess_mode="livemax",
    registry=REGISTRY,
)
_spool_appended = Counter(
    "tidemark_spool_appended",
    "Requests written to the spool.",
    registry=REGISTRY,
)
_spool_append_seconds = Histogram(
    "tidemark_spool_append_seconds",
    "Time of one durable write to the spool, for a group of requests.",
    buckets=_SECONDS,
    registry=REGISTRY,
)
_spool_drained = Counter(
    "tidemark_spool_drained",
    "Requests moved from the spool to Postgres; its rate is the drain rate.",
    registry=REGISTRY,
)
_spool_damaged = Counter(
    "tidemark_spool_damaged",
    "Groups or files of the spool that could not be read and were set aside.",
    registry=REGISTRY,
)
_database_available = Gauge(
    "tidemark_ingest_database_available",
    "1 while every process commits to Postgres, 0 while at least one of them uses its spool instead.",
    multiprocess_mode="livemin",
    registry=REGISTRY,
)
_dead_letters = Counter(
    "tidemark_dead_letters",
    "Refused events that were kept for a replay, and older ones dropped to make room for them.",
    ("fate",),
    registry=REGISTRY,
)
_assignments = Counter(
    "tidemark_assignments",
    "Requests for assignments that made one (new), and that found all of them (returning).",
    ("kind",),
    registry=REGISTRY,
)

_event_counters = {protocol: tuple(_events.labels(protocol, outcome) for outcome in OUTCOMES) for protocol in PROTOCOLS}
_failure_counters = {reason: _commit_failures.labels(reason) for reason in ("unavailable", "poison")}
_refusal_counters = {reason: _refused.labels(reason) for reason in REFUSALS}
_letters_kept = _dead_letters.labels("kept")
_letters_dropped = _dead_letters.labels("dropped")
_assignments_new = _assignments.labels("new")
_assignments_returning = _assignments.labels("returning")
_processes.set(1)
_database_available.set(1)
# A process may find the files of a dead one with its number: what that counted stays, what it held is gone.
for gauge in (_queue_requests, _queue_bytes, _spool_deliveries, _spool_bytes, _spool_oldest):
    gauge.set(0)

_routes = {OTHER_ROUTE}
_request_timers: dict[tuple[str, int], Histogram] = {}


def know_routes(paths: Iterable[str]) -> None:
    """Count requests for these paths under their own names; all others are counted as one route, `other`."""
    _routes.update(paths)


def request_ended(route: str, status: int, seconds: float) -> bool:
    """Count an answered request and say whether its route is known.

    `route` is the request's path, or its route's template when that has parameters.
    """
    kind = status if status == UNAVAILABLE else status // 100
    timer = _request_timers.get((route, kind)) or _request_timer(route, kind)
    timer.observe(seconds)
    return route in _routes


def events_answered(protocol: str, stored: int = 0, duplicate: int = 0, conflict: int = 0, rejected: int = 0) -> None:
    """Count what became of the events of a group of requests of one protocol; conflicts are duplicates as well."""
    counters = _event_counters[protocol]
    for counter, count in zip(counters, (stored, duplicate, conflict, rejected), strict=True):
        if count:
            counter.inc(count)


def group_committed(requests: int, rows: int, seconds: float) -> None:
    """Count a transaction that stored a group of requests."""
    _commit_seconds.observe(seconds)
    _commit_rows.observe(rows)
    _commit_requests.observe(requests)


def commit_failed(reason: str) -> None:
    """Count a transaction that stored nothing: `unavailable` or `poison`."""
    _failure_counters[reason].inc()


def request_refused(reason: str) -> None:
    """Count a request that got a 503 and was not kept, by one of REFUSALS."""
    _refusal_counters[reason].inc()


def request_limited() -> None:
    """Count a request that got a 429."""
    _limited.inc()


def queue_is(requests: int, size: int) -> None:
    """Note what waits in this process for a transaction, `size` in bytes."""
    _queue_requests.set(requests)
    _queue_bytes.set(size)


def spool_is(deliveries: int, size: int, oldest_seconds: float) -> None:
    """Note what the spool files of this process hold, `size` in bytes."""
    _spool_deliveries.set(deliveries)
    _spool_bytes.set(size)
    _spool_oldest.set(max(oldest_seconds, 0.0))


def spool_appended(deliveries: int, seconds: float) -> None:
    """Count a durable write of a group of requests to the spool."""
    _spool_appended.inc(deliveries)
    _spool_append_seconds.observe(seconds)


def spool_drained(deliveries: int) -> None:
    """Count requests moved from the spool to Postgres."""
    _spool_drained.inc(deliveries)


def spool_damaged(pieces: int = 1) -> None:
    """Count groups or files of the spool that were set aside because they could not be read."""
    _spool_damaged.inc(pieces)


def database_available(available: bool) -> None:
    """Note whether this process commits to Postgres, or uses its spool instead."""
    _database_available.set(1 if available else 0)


def dead_letters(kept: int = 0, dropped: int = 0) -> None:
    """Count refused events that were kept, and older ones dropped for them."""
    _letters_kept.inc(kept)
    _letters_dropped.inc(dropped)


def assignments(new: int = 0, returning: int = 0) -> None:
    """Count requests for assignments by whether one was made for them or all were found."""
    if new:
        _assignments_new.inc(new)
    if returning:
        _assignments_returning.inc(returning)


def _request_timer(route: str, kind: int) -> Histogram:
    """Return the histogram of a route and a kind of status; unknown routes share one, whatever clients make up."""
    key = (route if route in _routes else OTHER_ROUTE, kind)
    if key not in _request_timers:
        _request_timers[key] = _requests.labels(key[0], str(kind) if kind == UNAVAILABLE else f"{kind}xx")
    return _request_timers[key]
