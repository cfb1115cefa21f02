"""What the pages of one application share, made when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from api.dashboard.session import Sessions
from api.dashboard.throttle import Throttle
from pipeline.settings import Settings

if TYPE_CHECKING:
    from api.access.key_ring import KeyRing


@dataclass(frozen=True)
class Dashboard:
    """The sessions, the throttle of sign-ins, and the settings of the process that serves the pages."""

    settings: Settings
    sessions: Sessions
    throttle: Throttle


def make_dashboard(settings: Settings, keys: KeyRing) -> Dashboard:
    """Return the dashboard's state for an application with these settings and these keys."""
    token = settings.dashboard_token.get_secret_value() if settings.dashboard_token else None
    return Dashboard(settings, Sessions(token, keys), Throttle())
