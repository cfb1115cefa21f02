"""The people of the simulation: when they arrive, where they live, which phone they hold, when they come back."""

from __future__ import annotations

import math
import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import accumulate

from cli.demo import truth
from cli.demo.plan import Plan
from pipeline.clock import day_start

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Person:
    """One user. `updates_after` is None for those who never update; `clock_ahead` is the phone's error in seconds."""

    anonymous_user_id: str
    install_id: str
    first_open: datetime
    hours_ahead: float
    locale: str
    platform: str
    os_version: str
    engagement: float
    updates_after: timedelta | None
    clock_ahead: float
    takes_part: bool

    def app_version(self, moment: datetime, plan: Plan) -> str:
        """Return the version installed at a moment: the newest at the first open, later ones as the person updates."""
        start, length = day_start(plan.first_day), plan.days * DAY
        installed = truth.RELEASES[0][0]
        for version, share in truth.RELEASES:
            released = start + share * length
            if released <= self.first_open or (
                self.updates_after is not None and released + self.updates_after <= moment
            ):
                installed = version
        return installed


def arrive(chance: random.Random, plan: Plan) -> Person:
    """Draw one person who first opens the app between the plan's first day and its `now`."""
    hours_ahead, locale, _ = chance.choices(truth.PLACES, [share for _, _, share in truth.PLACES])[0]
    platform = "ios" if chance.random() < truth.IOS_SHARE else "android"
    never_updates = chance.random() < truth.NEVER_UPDATES
    fast_clock = chance.random() < truth.FAST_CLOCK
    return Person(
        anonymous_user_id=random_uuid(chance),
        install_id=random_uuid(chance),
        first_open=_first_open(chance, plan, hours_ahead),
        hours_ahead=hours_ahead,
        locale=locale,
        platform=platform,
        os_version=chance.choice(truth.OS_VERSIONS[platform]),
        engagement=chance.gammavariate(truth.ENGAGEMENT_SHAPE, 1 / truth.ENGAGEMENT_SHAPE),
        updates_after=None if never_updates else DAY * chance.expovariate(1 / truth.UPDATE_MEAN_DAYS),
        clock_ahead=chance.uniform(0, truth.FAST_CLOCK_SECONDS) if fast_clock else 0.0,
        takes_part=chance.random() >= truth.WITHOUT_EXPERIMENTS,
    )


def session_starts(chance: random.Random, person: Person, plan: Plan) -> list[datetime]:
    """Draw when a person opens the app, up to the plan's `now`, in order; the first open comes first."""
    first_day = person.first_open.date()
    starts = [person.first_open]
    for since in range((plan.last_day - first_day).days + 1):
        day = first_day + since * DAY
        if since and chance.random() >= _comes_back(person, since, day):
            continue
        extra = sum(chance.random() < more for more in truth.MORE_SESSIONS)
        starts += [_moment_of(chance, day, person.hours_ahead) for _ in range(extra + (since > 0))]
    soonest = person.first_open + timedelta(minutes=40)
    return [person.first_open, *sorted(start for start in starts[1:] if soonest <= start <= plan.now)]


def logging_rate(variants: Mapping[str, str]) -> float:
    """Return the true chance to submit within 24 hours of the first open, given {experiment_id: variant_id}."""
    return truth.LOGGING_RATE_24H + sum(truth.LOGGING_EFFECT.get(pair, 0.0) for pair in variants.items())


def random_uuid(chance: random.Random) -> str:
    """Draw a version 4 UUID from a seeded source."""
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def is_weekend(day: date) -> bool:
    """Return whether a day is a Saturday or a Sunday."""
    return day.weekday() >= 5


def _first_open(chance: random.Random, plan: Plan, hours_ahead: float) -> datetime:
    days, weights = _arrivals(plan)
    while True:  # the rest of today has not happened yet: draw again
        moment = _moment_of(chance, chance.choices(days, cum_weights=weights)[0], hours_ahead)
        if moment <= plan.now:
            return moment


@cache
def _arrivals(plan: Plan) -> tuple[list[date], list[float]]:
    """The plan's days, and how many people arrive on each and all before it, in no particular unit."""
    days = [plan.first_day + number * DAY for number in range(plan.days)]
    weights = [_growth(number, plan.days) * _weekend(day) for number, day in enumerate(days)]
    return days, list(accumulate(weights))


def _growth(number: int, days: int) -> float:
    since_campaign = number - int(truth.CAMPAIGN_START * days)
    in_campaign = 0 <= since_campaign < len(truth.CAMPAIGN_FACTORS)
    return (1 + truth.GROWTH * number / days) * (truth.CAMPAIGN_FACTORS[since_campaign] if in_campaign else 1.0)


def _comes_back(person: Person, since: int, day: date) -> float:
    return person.engagement * truth.RETENTION_DAY_1 * math.pow(since, -truth.RETENTION_DECAY) * _weekend(day)


def _weekend(day: date) -> float:
    return truth.WEEKEND_FACTOR if is_weekend(day) else 1.0


def _moment_of(chance: random.Random, day: date, hours_ahead: float) -> datetime:
    hours = truth.WEEKEND_HOURS if is_weekend(day) else truth.WEEKDAY_HOURS
    local = chance.choices(range(24), hours)[0] + chance.random()
    seconds = (local - hours_ahead) % 24 * 3_600
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(milliseconds=int(seconds * 1_000))
