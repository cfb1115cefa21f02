"""What a protocol makes of a request body: rows to store, and an answer for each event."""

from __future__ import annotations

from datetime import datetime

import msgspec

from api.ingestion.timestamps import FIRST_MOMENT
from pipeline.ingestion.event_store import EventRow

UNSTORABLE = "event cannot be stored"


class EventBatch(msgspec.Struct, frozen=True):
    """One request's events.

    `rows` are those to store, `indexes` their places in the request; `errors` maps the other places to the reason.
    `size` is the number of bytes they came in.
    """

    tenant_id: str
    received_at: datetime = FIRST_MOMENT
    size: int = 0
    rows: list[EventRow] = []
    indexes: list[int] = []
    errors: dict[int, str] = {}

    def refuse_rows(self, positions: frozenset[int]) -> EventBatch:
        """Return the batch with the rows at `positions` refused: what the database itself could not hold."""
        kept = [position for position in range(len(self.rows)) if position not in positions]
        return EventBatch(
            self.tenant_id,
            self.received_at,
            self.size,
            [self.rows[position] for position in kept],
            [self.indexes[position] for position in kept],
            {**self.errors, **{self.indexes[position]: UNSTORABLE for position in positions}},
        )

    def results(self) -> list[dict[str, object]]:
        """Return the answer for each event, in the order of the request."""
        accepted: list[dict[str, object]] = [
            {"index": index, "status": "accepted", "event_id": row.event_id}
            for index, row in zip(self.indexes, self.rows, strict=True)
        ]
        if not self.errors:
            return accepted
        answers = dict(zip(self.indexes, accepted, strict=True))
        for index, error in self.errors.items():
            answers[index] = {"index": index, "status": "rejected", "error": error}
        return [answers[index] for index in sorted(answers)]
