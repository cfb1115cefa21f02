"""The demo's history as files that `import` takes: all that arrived before the plan's cut, received_at included."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from cli.demo.network import Batch
from cli.demo.plan import Plan
from cli.demo.simulation import Life

ASSIGNMENT_VERSION = 1
FAST_COMPRESSION = 1


@dataclass(frozen=True)
class Recorded:
    """The written files, what is left for the API, and what no one has received by the plan's `now`.

    `live` holds the lives that go on after the cut, with only their visits and batches since then.
    """

    events: Path
    assignments: Path
    event_rows: int
    assignment_rows: int
    live: tuple[Life, ...]
    still_on_phones: int


def record(
    plan: Plan, lives: Iterable[Life], names: Mapping[tuple[str, str], str], folder: Path, told: Callable[[int], None]
) -> Recorded:
    """Write `events.ndjson.gz` and `assignments.ndjson` into a folder, and keep the rest of the lives for the API.

    Files that are there already stay untouched: the same plan writes the same bytes, and an interrupted import knows
    its file by them. `names` gives the variant_name of an (experiment_id, variant_id); `told` hears the number of
    people written so far. Event rows include those that were sent again: the import must notice. Raises OSError when
    the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    events, assignments = folder / "events.ndjson.gz", folder / "assignments.ndjson"
    partial_events, partial_assignments = folder / "events.partial", folder / "assignments.partial"
    encoder = msgspec.json.Encoder()
    event_rows = assignment_rows = still_on_phones = 0
    live = []
    with (
        partial_events.open("wb") as raw,
        gzip.GzipFile("events.ndjson", "wb", FAST_COMPRESSION, raw, mtime=0) as packed,
        partial_assignments.open("wb") as plain,
    ):
        for number, life in enumerate(lives, start=1):
            rows = list(_event_rows(plan, life, names))
            assigned = list(_assignment_rows(plan, life))
            packed.write(encoder.encode_lines(rows))
            plain.write(encoder.encode_lines(assigned))
            event_rows += len(rows)
            assignment_rows += len(assigned)
            still_on_phones += sum(len(batch.events) for batch in life.batches if batch.arrivals[0] > plan.now)
            since_cut = _since_cut(plan, life)
            if since_cut.visits or since_cut.batches:
                live.append(since_cut)
            told(number)
    for partial, final in ((partial_events, events), (partial_assignments, assignments)):
        if final.exists():
            partial.unlink()
        else:
            partial.replace(final)
    return Recorded(events, assignments, event_rows, assignment_rows, tuple(live), still_on_phones)


def _event_rows(plan: Plan, life: Life, names: Mapping[tuple[str, str], str]) -> Iterator[dict[str, Any]]:
    stamp = {
        "assignment_version": ASSIGNMENT_VERSION if life.variants else None,
        "assignments": [
            {"experiment_id": experiment, "variant_id": variant, "variant_name": names[experiment, variant]}
            for experiment, variant in sorted(life.variants.items())
        ],
        "experiment_map": dict(life.variants),
    }
    for batch in life.batches:
        if not _is_history(plan, batch):
            continue
        for arrival in batch.arrivals:
            for event in batch.events:
                yield {
                    "event_id": event.event_id,
                    "anonymous_user_id": life.person.anonymous_user_id,
                    "session_id": batch.session_id,
                    "install_id": life.person.install_id,
                    "platform": life.person.platform,
                    "app_version": batch.app_version,
                    "event_name": event.event_name,
                    "occurred_at": event.occurred_at,
                    "received_at": arrival,
                    "sent_at": batch.sent_at,
                    "properties": event.properties,
                    "context": event.context,
                    **stamp,
                }


def _assignment_rows(plan: Plan, life: Life) -> Iterator[dict[str, Any]]:
    """The assignments made at the first visit, if that was before the cut."""
    if not life.visits or life.visits[0].asked_at >= plan.cut:
        return
    for experiment, variant in sorted(life.variants.items()):
        yield {
            "anonymous_user_id": life.person.anonymous_user_id,
            "experiment_id": experiment,
            "variant_id": variant,
            "assignment_version": ASSIGNMENT_VERSION,
            "assigned_at": life.visits[0].asked_at,
        }


def _since_cut(plan: Plan, life: Life) -> Life:
    return replace(
        life,
        visits=tuple(visit for visit in life.visits if plan.cut <= visit.asked_at <= plan.now),
        batches=tuple(batch for batch in life.batches if plan.cut <= batch.arrivals[0] <= plan.now),
    )


def _is_history(plan: Plan, batch: Batch) -> bool:
    """A batch goes one way as a whole: one that is sent again around the cut must meet its first copy."""
    return batch.arrivals[0] < plan.cut
