"""One request as it was accepted: all that is needed to read it again, at once or when it comes out of the spool."""

from __future__ import annotations

from datetime import datetime

import msgspec

from pipeline.ingestion.event_store import Witness


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """A body in one of the protocols, and the circumstances of its receipt.

    `received_at` is aware. `running` are the ids of the experiments that were RUNNING at that moment, None when this
    process did not know: events are stamped as they would have been then, however late they reach Postgres.
    `transaction` is one that may have stored the delivery already: its connection broke before it was known to end.
    `witness` is an event that it then stored, if it stored any. `nonce` are random bytes of which the ids of events are
    made that came without, where every event sent is an event of its own: the same ones whenever it is read again.
    """

    protocol: str
    tenant_id: str
    received_at: datetime
    body: bytes
    running: tuple[str, ...] | None = None
    transaction: int | None = None
    witness: Witness | None = None
    nonce: bytes | None = None
