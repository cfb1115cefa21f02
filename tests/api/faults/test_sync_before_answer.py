"""The system calls of a server: before each 202, the spool was synced to the disk, after the request was read."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.api.faults.ledger import ClientLedger
from tests.api.faults.load import Load, Mix
from tests.api.faults.system import Api, report

pytestmark = pytest.mark.slow
VISITS = Mix(visits=1.0)
CALLS = "read,recvfrom,recvmsg,write,writev,sendto,sendmsg,fsync,fdatasync"
READS = {"read", "recvfrom", "recvmsg"}
SYNCS = {"fsync", "fdatasync"}
_LINE = re.compile(
    r"(?P<thread>\d+) +"
    r"(?:<\.\.\. (?P<resumed>\w+) resumed>|(?P<call>\w+)\(\d+<(?P<place>TCP:\[[^]]*\]|[^>]*)>)"
)
_UNFINISHED = "<unfinished ...>"


@dataclass(frozen=True)
class Trace:
    """What a trace shows of its 202 answers."""

    answers: int
    syncs: int
    early: int


def read_trace(lines: Iterable[str]) -> Trace:
    """Count the 202 answers, and those (`early`) that no sync precedes which began after their request was read."""
    begun: dict[str, tuple[int, str, str]] = {}
    last_read: dict[str, int] = {}
    answers = syncs = early = 0
    newest_sync = -1  # the latest beginning of those that have ended
    for number, line in enumerate(lines):
        found = _LINE.match(line)
        if found is None:
            continue
        thread, resumed, call, place = found.group("thread", "resumed", "call", "place")
        start = number
        if resumed:
            start, call, place = begun.pop(thread, (number, "", ""))
        elif '"HTTP/1.1 202' in line:  # the beginning of a write is what matters
            answers += 1
            early += newest_sync < last_read[place]
        if line.rstrip().endswith(_UNFINISHED):
            begun[thread] = (number, call, place)
        elif call in SYNCS and place.endswith(".sqlite-wal") and line.rstrip().endswith("= 0"):
            syncs += 1
            newest_sync = max(newest_sync, start)
        elif call in READS and place.startswith("TCP:") and not re.search(r"= (-1|0|\?)", line):
            last_read[place] = number
    return Trace(answers, syncs, early)


def traced(api: Api, ledger: ClientLedger, requests: int) -> Trace:
    """Send requests to a server that runs under strace, and read the trace."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    tried = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"strace may not trace here: {tried.stderr.decode().strip()}")
    trace = Path(api.home, "trace")
    api.prefix = ("strace", "-f", "--seccomp-bpf", "-yy", "-s", "64", "-e", f"trace={CALLS}", "-o", str(trace))
    api.start()
    with Load(api.url, ledger, seed=41, mix=VISITS, senders=8, events=requests) as load:
        load.finish()
    assert load.statuses == {202: requests}
    for process in api.serving():
        process.terminate()
    api.wait_for_end()
    return read_trace(trace.read_text(errors="replace").splitlines())


def test_the_spool_is_synced_before_each_answer(api: Api, ledger: ClientLedger) -> None:
    trace = traced(api, ledger, requests=1_000)
    report("strace", f"{trace.answers} answers, {trace.syncs} syncs, {trace.early} answers before their sync")
    assert (trace.answers, trace.early) == (1_000, 0)
    assert trace.syncs > 0


def test_a_server_that_does_not_sync_is_found_out(api: Api, ledger: ClientLedger) -> None:
    """Negative control."""
    api.factory = "tests.api.faults.variants:never_syncs"
    trace = traced(api, ledger, requests=50)
    report("control, no sync", f"{trace.answers} answers, {trace.syncs} syncs, {trace.early} answers before their sync")
    assert (trace.answers, trace.early) == (50, 50)
