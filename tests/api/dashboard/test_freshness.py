"""The pill: fresh, late, failed or empty, and why."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from api.dashboard.freshness import DEFAULT_PROMISE_MINUTES, MISSED_REFRESHES, Freshness, pill
from tests.makers import NOW

FRESH = Freshness(NOW - timedelta(seconds=38), NOW - timedelta(seconds=20), 412, ())
OLD = Freshness(NOW - timedelta(days=2), NOW - timedelta(days=2), 3, ())


def test_age_alone_is_no_delay() -> None:
    found = pill(FRESH, 0.0, NOW, 5)
    assert (found.state, found.text) == ("fresh", "Data up to 18 Feb 23:59 UTC")
    assert found.detail == (
        "The newest event included came 38 s ago. Computed at 18 Feb 23:59 UTC from version 412 of the lake."
    )
    assert pill(OLD, 0.0, NOW, 5).state == "fresh", "nothing came since"
    assert pill(OLD, None, NOW, 5).state == "fresh", "nobody knows of a delay"


@pytest.mark.parametrize(("minutes", "promise"), [(5, 5 * MISSED_REFRESHES), (0, DEFAULT_PROMISE_MINUTES)])
def test_events_that_wait_longer_than_promised_are_a_delay(minutes: int, promise: int) -> None:
    assert pill(FRESH, promise * 60.0, NOW, minutes).state == "fresh"
    late = pill(FRESH, promise * 60.0 + 1, NOW, minutes)
    assert late.state == "late"
    assert late.detail.startswith(f"Events have waited for {promise} min to be included.")


@pytest.mark.parametrize("newest", [NOW, None])
def test_a_failed_run_comes_before_everything(newest: datetime | None) -> None:
    found = pill(Freshness(newest, None, None, ("funnel_rollup", "retention_rollup")), 1e6, NOW, 5)
    assert found.state == "failed"
    assert "funnel_rollup, retention_rollup failed" in found.detail


def test_nothing_published_says_what_to_do() -> None:
    found = pill(Freshness(None, None, None, ()), 1e6, NOW, 5)
    assert (found.state, found.text) == ("empty", "No data yet")
    assert "./tidemark rollup" in found.detail
