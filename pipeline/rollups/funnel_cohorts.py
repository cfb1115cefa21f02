"""The computation of ordered funnels, a few days and some of the users at a time: the statements rollups/funnel_*.

What an ordered funnel is, is in docs/guides/funnels.md. A user's whole journey is in one bucket, so buckets only bound
the memory that a stretch of days takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta

from pipeline.clock import day_start
from pipeline.rollups.funnels import Funnels

BUCKET_EVENTS = 4_000_000
SALTS = 1000
HASH_SHIFT = 7  # leaves 57 bits, beside which the number of the funnel has room
STEPS_AT_A_TIME = 4  # as rollups/funnel_chains has them
_OF_ENTRIES = ("stamps", "variants", "dimensions", "audiences")


class FunnelCohorts:
    """Fills funnel_cohorts, a stretch of cohort days after the other; the table funnel_steps is there.

    `run` runs a statement by name with its parameters. `paths_of` returns the lake's files of some days, `rows_of` the
    number of their events.
    """

    def __init__(
        self,
        run: Callable[..., object],
        funnels: Funnels,
        *,
        oldest: datetime,
        newest: datetime,
        paths_of: Callable[[Iterable[date]], list[str]],
        rows_of: Callable[[Iterable[date]], int],
        bucket_events: int = BUCKET_EVENTS,
        hash_shift: int = HASH_SHIFT,
    ) -> None:
        self._run = run
        self._funnels = funnels
        self._validity = {"oldest": oldest, "newest": newest}
        self._paths_of = paths_of
        self._rows_of = rows_of
        self._bucket_events = bucket_events
        self._hash_shift = hash_shift
        run("rollups/create_funnel_cohorts")

    def add(self, days: Sequence[date]) -> None:
        """Compute the cohorts of these days, ascending: state is bounded by their events and those of their windows."""
        entered = self._paths_of(days)
        reached = {day + timedelta(days=after) for day in days for after in range(self._funnels.days_after + 1)}
        followed = self._paths_of(sorted(reached))
        buckets = -(-max(self._rows_of(reached), 1) // self._bucket_events)
        end = day_start(days[-1] + timedelta(days=1))
        for name in ("stamps", "variants", "audiences", "reached"):
            self._run(f"rollups/create_funnel_{name}")
        for bucket in range(buckets):
            users = self._number(followed, buckets=buckets, bucket=bucket)
            self._run("rollups/funnel_entered", paths=entered, **self._validity, **users)
            self._run("rollups/funnel_followed", paths=followed, entries_end=end, **self._validity, **users)
            for name in _OF_ENTRIES:
                self._run(f"rollups/funnel_{name}")
            self._run("rollups/create_funnel_chains")
            for step_number in range(1, self._funnels.deepest, STEPS_AT_A_TIME):
                self._run("rollups/funnel_chains", step_number=step_number)
            self._run("rollups/funnel_reached")
        self._run("rollups/funnel_cohorts")

    def _number(self, paths: list[str], **bucket: int) -> dict[str, int]:
        """Make funnel_people; return the parameters with which statements give each user of the bucket its number."""
        for salt in range(SALTS):
            users = {"salt": salt, "shift": self._hash_shift, **bucket}
            self._run("rollups/funnel_people", paths=paths, **users)
            if self._run("rollups/funnel_ambiguous_people") == [(0,)]:
                return users
        raise RuntimeError(f"several users have the same hash with each of {SALTS} salts: make buckets of fewer events")
