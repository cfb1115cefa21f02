"""Runs the API's processes, `python -m api.server`: all but its options comes from the environment's settings."""

from __future__ import annotations

import argparse

import uvicorn


def main() -> None:
    """Serve until SIGINT or SIGTERM, then finish what has begun."""
    parser = argparse.ArgumentParser(prog="python -m api.server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--grace-seconds", type=int, default=8, help="for requests in flight when a stop is asked for")
    parser.add_argument("--log-level", default="info")
    options = parser.parse_args()
    uvicorn.run(
        "api.main:app",
        factory=True,
        host=options.host,
        port=options.port,
        workers=options.workers,
        log_level=options.log_level.lower(),
        http="api.http_protocol:LimitedProtocol",
        ws="none",
        timeout_graceful_shutdown=options.grace_seconds,
        access_log=False,
        proxy_headers=False,  # `api.client_host` reads them where they matter
        server_header=False,
    )


if __name__ == "__main__":
    main()
