"""The lifecycle of an experiment: which status may follow which, and what may change in each.

DRAFT -> RUNNING <-> PAUSED -> ENDED, and RUNNING -> ENDED. Nothing returns to DRAFT, since its users would stay in it;
a draft cannot be paused or ended, since it never ran; ENDED is final, so that a slice of a layer which it frees can be
given to another experiment.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.experiments.definition import Definition, Status, StoredExperiment
from pipeline.experiments.json_values import same

MOVES: Mapping[Status, tuple[Status, ...]] = {
    "DRAFT": ("RUNNING",),
    "RUNNING": ("PAUSED", "ENDED"),
    "PAUSED": ("RUNNING", "ENDED"),
    "ENDED": (),
}
# What may be corrected about an experiment whose numbers are final.
OPEN_WHEN_ENDED = ("name", "description")


class RefusedError(Exception):
    """The change does not go with the state the experiment is in; the message says why, and what would."""


def check_change(stored: StoredExperiment, wanted: Definition) -> None:
    """Raise RefusedError when the lifecycle does not allow the change. Staying as it is is always allowed."""
    before = stored.definition
    check_move(before.status, wanted.status)
    if before.status == "ENDED":
        old, new = before.fields(), wanted.fields()
        closed = [name for name in new if name not in OPEN_WHEN_ENDED and not same(new[name], old[name])]
        if closed:
            raise RefusedError(f"An ENDED experiment keeps what it was; {' and '.join(closed)} cannot change any more.")
    if stored.has_started and wanted.layer != before.layer:
        raise RefusedError(
            "The layer and its slice are fixed once an experiment has left DRAFT: its users would fall out of it."
        )


def check_move(before: Status, after: Status) -> None:
    """Raise RefusedError when no experiment may go from one status to the other."""
    if before == after or after in MOVES[before]:
        return
    if before == "ENDED":
        raise RefusedError(f"ENDED is final: the experiment cannot become {after}. Create a new one instead.")
    allowed = " or ".join(MOVES[before])
    raise RefusedError(f"A {before} experiment cannot become {after}; it can become {allowed}.")
