"""The simulation: a plan in, everything that reaches the server out. Pure and seeded; reads no clock and no file."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cli.demo.network import Batch, Session, SimulatedEvent, deliver, whole_millis
from cli.demo.people import Person, arrive, logging_rate, random_uuid, session_starts
from cli.demo.plan import Plan
from cli.demo.screens import Mood, session

# (anonymous_user_id, platform, app_version) -> {experiment_id: variant_id}
Assigner = Callable[[str, str, str], Mapping[str, str]]

FIRST_DAY = timedelta(hours=24)


@dataclass(frozen=True)
class Visit:
    """One opening of the app, when it asks for its assignments: `asked_at` is a true time."""

    person: Person
    session_id: str
    app_version: str
    asked_at: datetime


@dataclass(frozen=True)
class Life:
    """One person's month. `batches` may reach the server after the plan's `now`: those are still on the phone."""

    person: Person
    variants: Mapping[str, str]
    visits: tuple[Visit, ...]
    batches: tuple[Batch, ...]


def simulate(plan: Plan, assigner: Assigner) -> Iterator[Life]:
    """Yield the life of each of the plan's people; the same plan and assigner give the same lives.

    Each person draws from a source of their own, so that people do not depend on one another.
    """
    for number in range(plan.users):
        yield _live(random.Random(f"{plan.seed}:{number}"), plan, assigner)


def _live(chance: random.Random, plan: Plan, assigner: Assigner) -> Life:
    person = arrive(chance, plan)
    variants: Mapping[str, str] = {}
    if person.takes_part:
        first_version = person.app_version(person.first_open, plan)
        variants = assigner(person.anonymous_user_id, person.platform, first_version)
    submits_early = chance.random() < logging_rate(variants)
    sessions: list[Session] = []
    for start in session_starts(chance, person, plan):
        if sessions and start < sessions[-1].end + timedelta(minutes=1):
            continue
        early = start < person.first_open + FIRST_DAY
        submits = submits_early if not sessions else False if early and not submits_early else None
        mood = Mood(first=not sessions, submits=submits, variants=variants)
        sessions.append(_use(chance, person, plan, start, mood))
    batches = tuple(batch for batch in deliver(chance, person, sessions) if batch.events)
    return Life(person, variants, tuple(_visits(person, sessions)), batches)


def _use(chance: random.Random, person: Person, plan: Plan, start: datetime, mood: Mood) -> Session:
    ahead = timedelta(seconds=person.clock_ahead)
    context = {"locale": person.locale, "os_version": person.os_version}
    moment = start
    events = []
    for action in session(chance, mood):
        moment += timedelta(seconds=action.pause)
        if moment > plan.now:  # the session is still going on
            break
        occurred_at = whole_millis(moment + ahead)
        events.append(SimulatedEvent(random_uuid(chance), action.event_name, occurred_at, action.properties, context))
    return Session(
        session_id=random_uuid(chance),
        app_version=person.app_version(start, plan),
        start=start,
        end=moment + timedelta(seconds=5),
        in_gym=any(event.event_name == "workout_started" for event in events),
        events=tuple(events),
    )


def _visits(person: Person, sessions: list[Session]) -> Iterator[Visit]:
    if person.takes_part:
        for use in sessions:
            yield Visit(person, use.session_id, use.app_version, use.start + timedelta(milliseconds=300))
