"""Every router of the dashboard, for the application."""

from __future__ import annotations

from api.dashboard import catalogue, funnels, overview, provenance, retention, sign_in, static_route

ROUTERS = (
    static_route.router,
    sign_in.router,
    overview.router,
    funnels.router,
    retention.router,
    catalogue.router,
    provenance.router,
)
