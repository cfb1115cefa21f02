"""Runs `command` in its own place as a supervised child: `child_launcher.py PARENT command...`.

A script of its own, run without site packages, because this must happen between fork and exec of the child:
- signals go back to their defaults: a process started in the background by a script inherits SIGINT as ignored, and
  then neither uvicorn nor Dagster would ever stop at it;
- on Linux the kernel sends SIGTERM when the supervisor dies, even by kill -9.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Become `command`; exit at once if `parent` died meanwhile."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            sys.exit("the supervisor is gone")
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
