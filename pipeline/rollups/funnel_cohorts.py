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
_OF_JOURNEYS = (
    "funnel_stamps", "funnel_variants", "funnel_dimensions", "funnel_audiences", "funnel_people", "funnel_events",
    "funnel_entries", "funnel_chains",
)  # fmt: skip


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
    ) -> None:
        self._run = run
        self._funnels = funnels
        self._validity = {"oldest": oldest, "newest": newest}
        self._paths_of = paths_of
        self._rows_of = rows_of
        self._bucket_events = bucket_events
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
            self._run(
                "rollups/funnel_journeys", entered=entered, followed=followed, entries_end=end, **self._validity,
                buckets=buckets, bucket=bucket,
            )  # fmt: skip
            for name in _OF_JOURNEYS:
                self._run(f"rollups/{name}")
            for step_number in range(3, self._funnels.deepest + 1):
                self._run("rollups/funnel_chains_next", step_number=step_number)
            self._run("rollups/funnel_reached")
        self._run("rollups/funnel_cohorts")
