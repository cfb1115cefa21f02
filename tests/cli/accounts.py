"""Other users, for tests that run as root."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

import pytest

from cli.service_account import ServiceAccount

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become other users")


def system_python() -> str | None:
    """A Python of this version that any user can run."""
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    candidates = [sys.executable, *(f"{folder}/{name}" for folder in ("/usr/bin", "/usr/local/bin"))]
    nobody = pwd.getpwnam("nobody")
    account = ServiceAccount(nobody.pw_uid, nobody.pw_gid)
    return next((candidate for candidate in candidates if account.can_run(Path(candidate))), None)
