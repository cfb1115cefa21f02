"""The funnels: which events make which steps, read from a configuration (`funnels.json`) and checked.

Every funnel is counted per day; those that are `ordered` are followed through their conversion window as well. What
the numbers mean is in docs/guides/funnels.md. Reads and checks alone: computing is `pipeline.rollups.funnel_cohorts`.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import pyarrow as pa

VERSION = 1
LONGEST_WINDOW = timedelta(days=30)
LONGEST_NAME = 200
MAXIMUM_FUNNELS = 50  # below 64, which the persons of rollups/funnel_entered rely on
MAXIMUM_STEPS = 20  # below 32, which the moments of rollups/funnel_entered rely on
DAY = timedelta(days=1)
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": DAY}
_WINDOW = re.compile(r"([1-9][0-9]{0,5})([mhd])")
_FIELDS = {
    "file": {"version", "funnels"},
    "funnel": {"name", "ordered", "window", "steps"},
    "step": {"name", "events"},
}
SCHEMA = pa.schema(
    [
        pa.field("funnel_number", pa.int32()),
        pa.field("funnel_name", pa.string()),
        pa.field("step_name", pa.string()),
        pa.field("step_number", pa.int32()),
        pa.field("event_name", pa.string()),
        pa.field("ordered", pa.bool_()),
        pa.field("window_us", pa.int64()),
    ]
)


class FunnelError(Exception):
    """The configuration cannot be used; the message names file, funnel, step, field and problem."""


@dataclass(frozen=True)
class Step:
    """One step: any event with one of these names reaches it."""

    name: str
    events: tuple[str, ...]


@dataclass(frozen=True)
class Funnel:
    """A funnel's steps in order; `window_seconds` is the time from the first step in which the others count.

    None: a funnel that is not ordered needs no window.
    """

    name: str
    ordered: bool
    window_seconds: int | None
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Funnels:
    """All funnels, in the order of the configuration."""

    funnels: tuple[Funnel, ...]

    @property
    def ordered(self) -> tuple[Funnel, ...]:
        """Those that are followed through their window."""
        return tuple(funnel for funnel in self.funnels if funnel.ordered)

    @property
    def deepest(self) -> int:
        """Steps of the longest ordered funnel, 0 without any."""
        return max((len(funnel.steps) for funnel in self.ordered), default=0)

    @property
    def days_after(self) -> int:
        """How many UTC days after its cohort day an ordered funnel's events can lie, 0 without any."""
        seconds = max((funnel.window_seconds or 0 for funnel in self.ordered), default=0)
        return math.ceil(timedelta(seconds=seconds) / DAY)

    @property
    def sha256(self) -> str:
        """A digest of what the funnels mean, whatever their file looks like."""
        return hashlib.sha256(json.dumps(asdict(self), ensure_ascii=True).encode()).hexdigest()

    def steps(self, *, ordered: bool = False) -> tuple[tuple[str, str], ...]:
        """Return (funnel, step) of all funnels, or of the ordered ones alone."""
        chosen = self.ordered if ordered else self.funnels
        return tuple((funnel.name, step.name) for funnel in chosen for step in funnel.steps)

    def table(self) -> pa.Table:
        """Return funnel_steps: a row per funnel and event name, `window_us` in microseconds, both numbers from 1."""
        rows = [
            {
                "funnel_number": funnel_number, "funnel_name": funnel.name, "step_name": step.name,
                "step_number": number, "event_name": event, "ordered": funnel.ordered,
                "window_us": None if funnel.window_seconds is None else funnel.window_seconds * 1_000_000,
            }
            for funnel_number, funnel in enumerate(self.funnels, 1)
            for number, step in enumerate(funnel.steps, 1) for event in step.events
        ]  # fmt: skip
        return pa.Table.from_pylist(rows, schema=SCHEMA)


def read_funnels(path: Path) -> Funnels:
    """Read and check a configuration. Raises FunnelError naming the file and what is wrong in it."""
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_without_repetition)
    except OSError as error:
        raise FunnelError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise FunnelError(f"{path}: not valid JSON ({error})") from error
    try:
        return parse_funnels(document)
    except FunnelError as error:
        raise FunnelError(f"{path}: {error}") from None


def parse_funnels(document: object) -> Funnels:
    """Return the funnels that a configuration describes. Raises FunnelError naming funnel, step and field."""
    content = _object(document, "file", "")
    if content.get("version") != VERSION or isinstance(content["version"], bool):
        raise FunnelError(f"field 'version': must be {VERSION}")
    listed = _list(content.get("funnels"), "funnels", "", MAXIMUM_FUNNELS)
    funnels = tuple(_funnel(item, number) for number, item in enumerate(listed, 1))
    _refuse_repetition((funnel.name for funnel in funnels), "", "funnels", "a funnel named")
    return Funnels(funnels)


def _funnel(item: object, number: int) -> Funnel:
    content = _object(item, "funnel", f"funnel {number}: ")
    name = _text(content.get("name"), "name", f"funnel {number}: ")
    place = f"funnel '{name}': "
    ordered = content.get("ordered", True)
    if not isinstance(ordered, bool):
        raise FunnelError(f"{place}field 'ordered': must be true or false")
    listed = _list(content.get("steps"), "steps", place, MAXIMUM_STEPS)
    if not listed or (ordered and len(listed) == 1):
        raise FunnelError(f"{place}field 'steps': needs at least {2 if ordered else 1}")
    steps = tuple(_step(step, place, position) for position, step in enumerate(listed, 1))
    _refuse_repetition((step.name for step in steps), place, "steps", "a step named")
    owners: dict[str, str] = {}
    for step in steps:
        for event in step.events:
            if event in owners:
                raise FunnelError(
                    f"{place}step '{step.name}': field 'events': '{event}' belongs to step '{owners[event]}' already;"
                    " an event reaches one step of a funnel"
                )
            owners[event] = step.name
    return Funnel(name, ordered, _window(content, ordered, place), steps)


def _step(item: object, place: str, number: int) -> Step:
    content = _object(item, "step", f"{place}step {number}: ")
    name = _text(content.get("name"), "name", f"{place}step {number}: ")
    place = f"{place}step '{name}': "
    listed = _list(content.get("events"), "events", place, None)
    if not listed:
        raise FunnelError(f"{place}field 'events': needs at least one event name")
    return Step(name, tuple(_text(event, "events", place) for event in listed))


def _window(content: Mapping[str, object], ordered: bool, place: str) -> int | None:
    given = content.get("window")
    if given is None and not ordered and "window" not in content:
        return None
    match = _WINDOW.fullmatch(given) if isinstance(given, str) else None
    if match is None:
        raise FunnelError(
            f"{place}field 'window': must be a number of minutes, hours or days such as '30m', '24h' or '7d'"
        )
    window = int(match[1]) * _UNITS[match[2]]
    if window > LONGEST_WINDOW:
        raise FunnelError(f"{place}field 'window': must not be longer than {LONGEST_WINDOW.days}d")
    return int(window.total_seconds())


def _object(item: object, kind: str, place: str) -> Mapping[str, object]:
    if not isinstance(item, dict):
        raise FunnelError(f"{place or 'the file: '}must be a JSON object")
    unknown = sorted(item.keys() - _FIELDS[kind])
    if unknown:
        raise FunnelError(f"{place}field '{unknown[0]}': unknown; known are {', '.join(sorted(_FIELDS[kind]))}")
    return item


def _list(item: object, field: str, place: str, longest: int | None) -> Sequence[object]:
    if not isinstance(item, list):
        raise FunnelError(f"{place}field '{field}': must be a list")
    if longest is not None and len(item) > longest:
        raise FunnelError(f"{place}field '{field}': must not have more than {longest} entries, not {len(item)}")
    return item


def _text(item: object, field: str, place: str) -> str:
    if not isinstance(item, str) or not item or len(item) > LONGEST_NAME:
        raise FunnelError(f"{place}field '{field}': must be a text of 1 to {LONGEST_NAME} characters")
    if not item.isprintable():
        raise FunnelError(f"{place}field '{field}': must be printable text")
    return item


def _refuse_repetition(names: Iterable[str], place: str, field: str, what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise FunnelError(f"{place}field '{field}': {what} '{name}' occurs twice")
        seen.add(name)


def _without_repetition(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"field '{key}' occurs twice in one object")
        found[key] = value
    return found
