"""Reading ahead: a thread prepares the next items while the caller works on the last one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def read_ahead(items: Iterable[Item], ahead: int) -> Iterator[Item]:
    """Yield the items, of which up to `ahead` wait ready; what iterating raises is raised here.

    Ending the iteration early ends the thread as soon as it has its next item.
    """
    ready: queue.Queue[Item | _End] = queue.Queue(ahead)
    stopped = threading.Event()

    def put(item: Item | _End) -> bool:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def fetch() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(_End(None))
        except BaseException as error:  # the reading side raises it
            put(_End(error))

    thread = threading.Thread(target=fetch, name="read-ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := ready.get(), _End):
            yield item
            del item  # or it would wait for the next one in memory
        if item.error is not None:
            raise item.error
    finally:
        stopped.set()
        thread.join()


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error
