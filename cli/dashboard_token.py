"""The secret of the dashboard: the operator's, or one that is made once and kept under TIDEMARK_HOME (mode 600)."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from pydantic import SecretStr

from pipeline.settings import Settings


def token_file(settings: Settings) -> Path:
    """Return the file that holds a token made here."""
    return settings.home / "dashboard_token"


def token_place(settings: Settings) -> str:
    """Say where an operator finds the dashboard token in use, without telling the token."""
    path = token_file(settings)
    token = settings.dashboard_token.get_secret_value() if settings.dashboard_token else ""
    if path.exists() and path.read_text().strip() == token:
        return f"in {path}"
    return "DASHBOARD_TOKEN, as you set it" if token else "none"


def with_dashboard_token(settings: Settings) -> Settings:
    """Return the settings with a dashboard token: DASHBOARD_TOKEN, else the one made at the first start. Idempotent."""
    if settings.dashboard_token is not None:
        return settings
    path = token_file(settings)
    token = path.read_text().strip() if path.exists() else ""
    if not token:
        token = secrets.token_urlsafe(24)
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{token}\n")
        fresh.replace(path)
    return settings.model_copy(update={"dashboard_token": SecretStr(token)})
