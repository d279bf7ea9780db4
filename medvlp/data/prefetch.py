"""Work that threads do ahead of whoever asks for its results, in order, and never far ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def prefetch(
    make: Callable[[Item], Made], items: Iterable[Item], threads: int, ahead: int, name: str
) -> Generator[Made, None, None]:
    """`make(item)` of each item, in their order; at most `ahead` wait while one is used, whatever their number.

    An error of `make` is raised where its result would have come. Whoever stops asking leaves nothing to be made.

    Args:
        make: called in the threads.
        items: taken as they are needed.
        threads: how many, at least 1. ahead: 0 makes one when it is asked for.
        name: of the threads.
    """
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(threads, name) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(make, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
