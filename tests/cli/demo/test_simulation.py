"""The simulated app: its size, its people, its network, and the effects that experiments shall find."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from statistics import mean, median

import msgspec
import pytest

from api.ingestion.validation import validate_batch
from cli.demo import truth
from cli.demo.delivery import event_body
from cli.demo.people import is_weekend
from cli.demo.plan import DEFAULT_SEED, Plan
from cli.demo.simulation import Life, simulate
from tests.cli.demo.worlds import NOON, always, arrived, by_hash, plan

CONTRACT_NAMES = {
    "onboarding_started",
    "onboarding_strength_selected",
    "onboarding_skipped",
    "onboarding_completed",
    "tab_opened",
    "workouts_default_loaded",
    "workout_custom_created",
    "workout_saved",
    "workout_started",
    "exercise_logged",
    "workout_completed",
    "logging_opened",
    "log_entry_started",
    "log_entry_committed",
    "session_submitted",
    "skilltree_opened",
    "node_opened",
    "node_completed",
    "achievement_unlocked",
    "app_opened",
}
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MONTH = plan(users=2_000)


@pytest.fixture(scope="module")
def month() -> list[Life]:
    return list(simulate(MONTH, by_hash))


def submits_within_a_day(life: Life) -> bool:
    return any(
        event.event_name == "session_submitted" and event.occurred_at <= life.batches[0].events[0].occurred_at + DAY
        for batch in life.batches
        for event in batch.events
    )


def logging_rate_24h(lives: Sequence[Life], now: datetime) -> float:
    return mean(submits_within_a_day(life) for life in lives if life.person.first_open <= now - DAY)


@pytest.mark.parametrize(
    ("seed", "now"),
    [(DEFAULT_SEED, NOON), (2, datetime(2027, 1, 3, 23, 55, tzinfo=UTC))],
)
def test_two_thousand_users_make_a_hundred_thousand_events(month: list[Life], seed: int, now: datetime) -> None:
    world = plan(users=2_000, seed=seed, now=now)
    received = list(arrived(month if world == MONTH else list(simulate(world, by_hash)), now))
    assert 90_000 <= len(received) <= 110_000
    assert len({batch.person.anonymous_user_id for batch, _ in received}) > 1_950


def test_the_same_plan_gives_the_same_lives_and_another_seed_others() -> None:
    first = list(simulate(plan(users=30), by_hash))
    assert list(simulate(plan(users=30), by_hash)) == first
    assert list(simulate(plan(users=30, seed=DEFAULT_SEED + 1), by_hash)) != first


def test_people_do_not_depend_on_how_many_there_are() -> None:
    assert list(simulate(plan(users=40), by_hash))[:10] == list(simulate(plan(users=10), by_hash))


def test_every_name_of_the_contract_occurs_and_no_other(month: list[Life]) -> None:
    assert {event.event_name for _, event in arrived(month, NOON)} == CONTRACT_NAMES


def test_event_ids_are_unique_lower_case_uuids(month: list[Life]) -> None:
    ids = [event.event_id for life in month for batch in life.batches for event in batch.events]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", one) for one in ids)


def test_everything_happens_inside_the_period_and_arrives_after_it_happened(month: list[Life]) -> None:
    start = datetime(2026, 10, 21, tzinfo=UTC)
    for batch, event in arrived(month, NOON):
        true_time = event.occurred_at - timedelta(seconds=batch.person.clock_ahead)
        assert start - HOUR / 3_600 <= true_time <= NOON
        assert true_time <= batch.arrivals[0]
        assert event.occurred_at <= batch.arrivals[0] + timedelta(minutes=5), "the API would refuse it"
        assert len(batch.events) <= 100
        assert sorted(batch.arrivals) == list(batch.arrivals)


def test_every_batch_passes_the_validation_of_the_api(month: list[Life]) -> None:
    for life in month[:400]:
        for batch in life.batches:
            judged = validate_batch(msgspec.json.encode(event_body(batch)), "default", batch.arrivals[0])
            assert judged.errors == {}
            assert [row.occurred_at for row in judged.rows] == [event.occurred_at for event in batch.events]


def test_the_first_event_of_everyone_is_opening_the_app_and_assignments_come_before_any_batch(
    month: list[Life],
) -> None:
    for life in month:
        first = min((event.occurred_at, event.event_name) for batch in life.batches for event in batch.events)
        assert first[1] == "app_opened"
        if life.visits:
            assert all(life.visits[0].asked_at < batch.arrivals[0] for batch in life.batches)


def test_most_events_arrive_in_seconds_and_a_tail_takes_hours_or_days(month: list[Life]) -> None:
    lags = [batch.arrivals[0] - event.occurred_at for batch, event in arrived(month, NOON)]
    assert median(lags) < timedelta(seconds=60)
    assert 0.02 < mean(lag > HOUR for lag in lags) < 0.12
    assert 0.001 < mean(lag > DAY for lag in lags) < 0.03
    assert max(lags) > 3 * DAY
    assert any(lag < timedelta(0) for lag in lags), "some phones' clocks are ahead"


def test_a_few_bodies_are_sent_two_or_three_times(month: list[Life]) -> None:
    attempts = Counter(len(batch.arrivals) for life in month for batch in life.batches)
    assert 0.02 < 1 - attempts[1] / attempts.total() < 0.045
    assert attempts[2] > attempts[3] > 0


def test_people_come_back_less_and_less_and_more_at_weekends(month: list[Life]) -> None:
    days = [MONTH.first_day + number * DAY for number in range(MONTH.days)]
    active = {(life.person.anonymous_user_id, visit.asked_at.date()) for life in month for visit in life.visits}
    newcomers = [life.person for life in month if life.visits and life.person.first_open <= NOON - 15 * DAY]

    def returning(since: int) -> float:
        return mean((one.anonymous_user_id, one.first_open.date() + since * DAY) in active for one in newcomers)

    assert 0.25 < returning(1) < 0.45
    assert returning(1) > returning(3) > returning(14) > 0.03

    def activity(day: date) -> float:
        installed = [life.person for life in month if life.visits and life.person.first_open.date() < day]
        return mean((one.anonymous_user_id, day) in active for one in installed)

    full_days = days[7:-1]
    weekend = mean(activity(day) for day in full_days if is_weekend(day))
    assert weekend > 1.15 * mean(activity(day) for day in full_days if not is_weekend(day))


def test_new_users_grow_over_the_month_with_a_spike_when_the_campaign_runs(month: list[Life]) -> None:
    arrivals = Counter((life.person.first_open.date() - MONTH.first_day).days for life in month)
    campaign = int(truth.CAMPAIGN_START * MONTH.days)
    assert max(arrivals, key=lambda day: arrivals[day]) == campaign
    assert sum(arrivals[day] for day in range(20, 28)) > 1.3 * sum(arrivals[day] for day in range(8))


def test_people_are_awake_by_their_own_clock(month: list[Life]) -> None:
    hours = Counter(
        int((visit.asked_at + timedelta(hours=visit.person.hours_ahead)).hour)
        for life in month
        for visit in life.visits
    )
    assert hours[19] > 8 * hours[3]
    assert hours[7] > hours[10]


def test_versions_roll_out_and_old_ones_linger(month: list[Life]) -> None:
    start, length = datetime(2026, 10, 21, tzinfo=UTC), MONTH.days * DAY
    released = dict(truth.RELEASES)
    used = [(visit.app_version, visit.asked_at) for life in month for visit in life.visits]
    assert all(moment >= start + released[version] * length for version, moment in used)
    last_days = Counter(version for version, moment in used if moment > NOON - 3 * DAY)
    assert last_days["1.5.0"] > 0.75 * last_days.total()
    assert len(last_days) >= 3


def test_some_take_no_part_in_experiments_but_live_all_the_same(month: list[Life]) -> None:
    outsiders = [life for life in month if not life.variants]
    assert 0.01 < len(outsiders) / len(month) < 0.035
    assert all(not life.visits and life.batches for life in outsiders)


def test_the_landing_experiment_raises_the_24_hour_logging_rate_by_its_true_effect() -> None:
    world = plan(users=2_000, days=5)
    rates = {
        variant: logging_rate_24h(list(simulate(world, always(landing=variant))), NOON) for variant in ("A", "B", "C")
    }
    # The same people under each variant: only the effect differs, so that the difference has little noise.
    assert rates["A"] == pytest.approx(truth.LOGGING_RATE_24H, abs=0.035)
    assert rates["C"] - rates["A"] == pytest.approx(0.04, abs=0.015)
    assert rates["B"] - rates["A"] == pytest.approx(0.01, abs=0.008)


def test_the_density_experiment_makes_sessions_a_little_shallower() -> None:
    def events_per_session(variant: str) -> float:
        lives = list(simulate(plan(users=700), always(density=variant)))
        sessions = {batch.session_id for life in lives for batch in life.batches}
        return sum(len(batch.events) for life in lives for batch in life.batches) / len(sessions)

    assert 0.91 < events_per_session("B") / events_per_session("A") < 0.98


@pytest.mark.parametrize("now", [datetime(2026, 11, 21, tzinfo=UTC), datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC)])
@pytest.mark.parametrize("days", [2, 5])
def test_any_hour_of_the_day_makes_a_world(now: datetime, days: int) -> None:
    world = Plan(users=25, days=days, seed=3, now=now)
    lives = list(simulate(world, by_hash))
    assert len(lives) == 25
    assert all(world.first_day <= life.person.first_open.date() <= world.last_day for life in lives)
    assert all(life.person.first_open <= now for life in lives)
