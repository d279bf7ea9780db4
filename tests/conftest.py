"""Two ranks without processes, for tests of what ranks share."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
import torch
from torch import Tensor


class ThreadRanks:
    """Ranks that are threads: what one gathers, with its gradient, is what all of them hold."""

    def __init__(self, rank: int, given: list[Tensor | None], barrier: Barrier) -> None:
        self.rank, self.given, self.barrier = rank, given, barrier

    def gather(self, rows: Tensor) -> Tensor:
        self.given[self.rank] = rows
        self.barrier.wait()
        everything = torch.cat(self.given)  # type: ignore[arg-type]
        self.barrier.wait()
        return everything

    def first_row(self, rows: int) -> int:
        return self.rank * rows


@pytest.fixture
def on_two_ranks() -> Callable[[Callable[[int, ThreadRanks], Any]], list[Any]]:
    """A function that calls `work(rank, ranks)` on both ranks at once, and gives what they return."""

    def run(work: Callable[[int, ThreadRanks], Any]) -> list[Any]:
        given, barrier = [None, None], Barrier(2, timeout=20)

        def of_rank(rank: int) -> Any:
            try:
                return work(rank, ThreadRanks(rank, given, barrier))
            except BaseException:
                barrier.abort()  # the other one waits for nobody
                raise

        with ThreadPoolExecutor(2) as threads:
            return list(threads.map(of_rank, (0, 1)))

    return run
