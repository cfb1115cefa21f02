"""Entry point for servers: `uvicorn --factory api.main:app`, settings from the environment."""

from __future__ import annotations

import gc
import sys

from fastapi import FastAPI

from api.app import create_app
from pipeline.settings import Settings
from pipeline.statements import read_statements

# Threads that commit wait for the interpreter at every answer of Postgres; 5 ms, the default, is longer than the answer
# took. Shorter turns store a fifth more single events per second.
TURN_SECONDS = 0.0005
# A request leaves few cycles behind; the default thresholds spend 5 % of the processor on looking for them.
GARBAGE_THRESHOLDS = (20_000, 20, 50)


def app() -> FastAPI:
    """Build the application of this process."""
    sys.setswitchinterval(TURN_SECONDS)
    read_statements()
    application = create_app(Settings())
    gc.freeze()  # what is there now stays: the collector need not look through it again and again
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    return application
