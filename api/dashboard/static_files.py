"""The files that pages load: held in memory, compressed once, and named by their content so that they never change."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).with_name("static")
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class StaticFile:
    """A file with its compressed form and a digest of its content."""

    content: bytes
    compressed: bytes
    media_type: str
    digest: str


@cache
def static_files() -> dict[str, StaticFile]:
    """Return the files by name; names below `vendor` have it in front."""
    return {str(path.relative_to(FOLDER)): _read(path) for path in sorted(FOLDER.rglob("*")) if path.suffix in TYPES}


def static_url(name: str) -> str:
    """Return where a page finds a file. Raises KeyError for one that is not there."""
    return f"/static/{name}?{static_files()[name].digest}"


def _read(path: Path) -> StaticFile:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:12]
    return StaticFile(content, gzip.compress(content, 9, mtime=0), TYPES[path.suffix], digest)
