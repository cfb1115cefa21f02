"""The pages that the frame leads to, in the order of the navigation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """A page: its path, its name, the name of its icon in `icons.html`, and whether it is in a phone's bottom bar."""

    path: str
    label: str
    icon: str
    on_phone: bool = False


PAGES = (
    Page("/overview", "Overview", "overview", on_phone=True),
    Page("/experiments", "Experiments", "experiments", on_phone=True),
    Page("/funnels", "Funnels", "funnels", on_phone=True),
    Page("/retention", "Retention", "retention", on_phone=True),
    Page("/ingestion", "Ingestion", "ingestion"),
    Page("/lake", "Lake and runs", "lake"),
    Page("/metrics-catalogue", "Metrics", "metrics"),
)
