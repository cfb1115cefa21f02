"""Lets plain blocking code work with Postgres on the event loop: where it would wait, the loop goes on.

The code runs in a greenlet of its own, which gives way to the loop until its connection is ready. A thread would do as
well, but each answer of Postgres would then take the interpreter away from some request, and that costs more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar, cast

import psycopg
from greenlet import getcurrent, greenlet
from psycopg.abc import PQGen
from psycopg.waiting import Ready, Wait

from pipeline.database import Connection

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Answer = TypeVar("Answer")


async def run(function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
    """Call a function that waits for nothing but LoopConnections and `in_thread`, and return its result.

    Cancelling raises asyncio.CancelledError where the function waits; the connection it waits for is closed then.
    """
    done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

    def work() -> None:
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            if not done.done():
                done.set_exception(error)
        else:
            if not done.done():
                done.set_result(result)

    worker = greenlet(work)
    worker.switch()
    try:
        return await done
    finally:
        if not worker.dead:
            worker.throw(asyncio.CancelledError())


def in_thread(function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
    """Call a function that blocks in a thread, and return its result; to be called by what `run` runs.

    When this wait is cancelled, the thread goes on and its result is dropped.
    """
    called = asyncio.get_running_loop().run_in_executor(None, partial(function, *args, **kwargs))
    resume = getcurrent().switch
    called.add_done_callback(resume)
    try:
        _give_way()
    finally:
        called.remove_done_callback(resume)
    return called.result()


class LoopConnection(Connection):
    """A connection for functions that `run` runs."""

    def wait(self, gen: PQGen[Answer], interval: float = 0.1, timeout: float | None = None) -> Answer:
        """Wait for an answer while the loop goes on, until the deadline or for `timeout` seconds at most.

        A wait that ends without one, or is cancelled, closes the connection. Raises psycopg.OperationalError.
        """
        loop = asyncio.get_running_loop()
        limits = [] if self.deadline is None else [max(self.deadline - time.monotonic(), 0.0)]
        limits += [] if timeout is None else [timeout]
        descriptor = self.pgconn.socket
        timer = loop.call_later(min(limits), getcurrent().switch, Ready.NONE) if limits else None
        try:
            wanted = next(gen)
            while ready := _readiness(loop, descriptor, wanted):
                wanted = gen.send(ready)
        except StopIteration as end:
            answer: Answer = end.value
            return answer
        except asyncio.CancelledError:
            self.pgconn.finish()
            raise
        finally:
            if timer:
                timer.cancel()
        self.pgconn.finish()
        raise psycopg.OperationalError("no answer in time")


def _readiness(loop: asyncio.AbstractEventLoop, descriptor: int, wanted: Wait) -> Ready:
    """Return what a socket is ready for; nothing when the timer of the wait comes first."""
    resume = getcurrent().switch
    if wanted & Wait.R:
        loop.add_reader(descriptor, resume, Ready.R)
    if wanted & Wait.W:
        loop.add_writer(descriptor, resume, Ready.W)
    try:
        return cast("Ready", _give_way())
    finally:
        if wanted & Wait.R:
            loop.remove_reader(descriptor)
        if wanted & Wait.W:
            loop.remove_writer(descriptor)


def _give_way() -> object:
    """Return what the loop's callback brings that switches back here."""
    caller = getcurrent().parent
    if caller is None:
        raise RuntimeError("nothing of this may wait outside of run()")
    return caller.switch()
