"""Every router of the dashboard, for the application."""

from __future__ import annotations

from api.dashboard import (
    catalogue,
    experiment_forms,
    experiment_list,
    experiment_page,
    experiment_status,
    funnels,
    ingestion,
    lake,
    overview,
    provenance,
    records,
    retention,
    sign_in,
    static_route,
)

ROUTERS = (
    static_route.router,
    sign_in.router,
    overview.router,
    experiment_list.router,
    experiment_forms.router,
    experiment_status.router,
    experiment_page.router,
    funnels.router,
    retention.router,
    ingestion.router,
    lake.router,
    catalogue.router,
    provenance.router,
    records.router,
)
