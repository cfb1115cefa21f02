"""The API as a supervised process: a server with one or more workers."""

from __future__ import annotations

import http.client
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from cli.child_process import Child
from pipeline.settings import REPOSITORY, Settings

GRACE_SECONDS = 8  # for requests in flight when a stop is asked for
HEALTH_SECONDS = 2


def api_process(settings: Settings, environment: Mapping[str, str]) -> Child:
    """Return the API on the host and port of the settings, ready once /health answers 200.

    Empties the folder in which its processes count, hence to be called when they do not run.
    """
    counts = metrics_folder(settings)
    shutil.rmtree(counts, ignore_errors=True)
    return Child(
        "api",
        (
            *(sys.executable, "-m", "api.server"),
            *("--host", settings.host, "--port", str(settings.port), "--workers", str(settings.workers)),
            *("--grace-seconds", str(GRACE_SECONDS), "--log-level", settings.log_level.lower()),
        ),
        {**environment, "PROMETHEUS_MULTIPROC_DIR": str(counts)},
        REPOSITORY,
        is_ready=lambda: is_healthy(settings),
        stop_seconds=GRACE_SECONDS + 4,
    )


def metrics_folder(settings: Settings) -> Path:
    """Return where the API's processes count together; several APIs of one home have a port each."""
    return settings.home / "run" / "metrics" / str(settings.port)


def reachable_host(settings: Settings) -> str:
    """Return a host by which this machine reaches the API; 0.0.0.0 and :: are places to listen, not to go to."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(settings.host, settings.host)


def base_url(settings: Settings) -> str:
    """Return the URL of the API, without a slash at its end."""
    host = reachable_host(settings)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def is_healthy(settings: Settings) -> bool:
    """Say whether the API answers GET /health with 200."""
    connection = http.client.HTTPConnection(reachable_host(settings), settings.port, timeout=HEALTH_SECONDS)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
