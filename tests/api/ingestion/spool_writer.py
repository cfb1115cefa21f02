"""A process that keeps deliveries, and writes a line on each once it knows: `kept 17` or `lost 17`.

Arguments: folder, deliveries, tasks, bytes of each, and what to break: `unsynced` (no sync at all), `redeemable` (what
failed is left in the journal) or nothing. Ends when its stdin does, without closing the spool.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from pathlib import Path

from api.ingestion.spool import Spool
from api.ingestion.spool_errors import SpoolUnavailableError
from api.ingestion.spool_file import SpoolFile
from api.request_log import make_logger
from tests.api.ingestion.deliveries import make_delivery


def break_syncs() -> None:
    made = SpoolFile.create

    def create(folder: Path) -> SpoolFile:
        file = made(folder)
        for connection in file._connections:
            connection.execute("PRAGMA synchronous = OFF")
        return file

    SpoolFile.create = create


def break_undoing() -> None:
    def seal_only(self: SpoolFile, _: sqlite3.Error) -> None:
        self.sealed = True

    SpoolFile._undo_append = seal_only


async def keep_all(spool: Spool, numbers: range, size: int) -> None:
    for number in numbers:
        try:
            await spool.keep(make_delivery(number, size))
            os.write(1, b"kept %d\n" % number)
        except SpoolUnavailableError:
            os.write(1, b"lost %d\n" % number)


async def main(folder: str, deliveries: str, tasks: str, size: str, broken: str = "") -> None:
    {"unsynced": break_syncs, "redeemable": break_undoing, "": lambda: None}[broken]()
    spool = Spool(Path(folder), make_logger("ERROR"), max_bytes=2**30)
    spool.start()
    await asyncio.gather(
        *(keep_all(spool, range(task, int(deliveries), int(tasks)), int(size)) for task in range(int(tasks)))
    )
    os.write(1, b"done\n")
    await asyncio.to_thread(sys.stdin.read)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
