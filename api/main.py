"""Entry point for servers: `uvicorn --factory api.main:app`, settings from the environment."""

from __future__ import annotations

from fastapi import FastAPI

from api.app import create_app
from pipeline.settings import Settings


def app() -> FastAPI:
    """Build the application of this process."""
    return create_app(Settings())
