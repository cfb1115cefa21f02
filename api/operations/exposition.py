"""The metrics page: what all processes of this API counted, and what was found when somebody looked just now."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

from api import telemetry
from api.metric_files import AllProcesses, metrics_folder
from api.operations.database_probe import DatabaseState

CONTENT_TYPE = CONTENT_TYPE_LATEST


def exposition(state: DatabaseState | None) -> bytes:
    """Return everything in Prometheus' text format; `state` None means that the database did not answer."""
    folder = metrics_folder()
    registry = CollectorRegistry()
    registry.register(telemetry.REGISTRY if folder is None else AllProcesses(folder))
    registry.register(_Found(state))
    return generate_latest(registry)


class _Found:
    """Collects what a look at the database found."""

    def __init__(self, state: DatabaseState | None) -> None:
        self._state = state

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Yield what is known."""
        state = self._state
        yield GaugeMetricFamily(
            "tidemark_database_up", "1 when Postgres answers within a second.", int(state is not None)
        )
        if state is None:
            return
        yield GaugeMetricFamily(
            "tidemark_oldest_transaction_seconds",
            "Age of the oldest transaction that has written, in any database of the server: the export cannot pass it.",
            state.oldest_transaction,
        )
        yield GaugeMetricFamily(
            "tidemark_idle_transactions",
            "Sessions that hold back the export: idle, in a transaction that has written and is over a minute old.",
            state.idle_transactions,
        )
        if state.export_lag is not None:
            yield GaugeMetricFamily(
                "tidemark_export_lag_seconds",
                "How long the oldest event has waited that the lake does not have yet; 0 when it has all of them.",
                state.export_lag,
            )
