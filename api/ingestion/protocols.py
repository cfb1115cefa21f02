"""How a spooled delivery is read again: as its protocol read it at the door."""

from __future__ import annotations

from uuid import UUID

from api.campaign.event_reader import read_campaign_events
from api.errors import InvalidRequestError
from api.ingestion.batch import EventBatch
from api.ingestion.delivery import Delivery
from api.ingestion.event_ids import spooled_event_id
from api.ingestion.fast_path import read_batch
from api.retail.visits import VisitError, read_visit, visit_row


class UnreadableDeliveryError(Exception):
    """A delivery that was accepted cannot be read (any more); the message says why."""


def read_delivery(delivery: Delivery, spool_id: UUID, seq: int, position: int) -> EventBatch:
    """Return the events of a delivery, the same ones whenever it is read: an id that is made depends on its place.

    `position` is its place in the group `seq` of the spool. Raises UnreadableDeliveryError.
    """
    try:
        match delivery.protocol:
            case "mobile":
                return read_batch(delivery.body, delivery.tenant_id, delivery.received_at)
            case "campaign":
                return read_campaign_events(delivery)
            case "retail":
                return _read_visit(delivery, spooled_event_id(spool_id, seq, position, delivery.received_at))
    except (InvalidRequestError, VisitError) as error:
        raise UnreadableDeliveryError(str(error)) from error
    raise UnreadableDeliveryError(f"this version does not know protocol {delivery.protocol}")


def _read_visit(delivery: Delivery, event_id: str) -> EventBatch:
    row = visit_row(read_visit(delivery.body), delivery.tenant_id, delivery.received_at, event_id)
    return EventBatch(delivery.tenant_id, delivery.received_at, len(delivery.body), [row], [0])
