"""Results come in order, errors where they belong, and nobody works far ahead or for nobody."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

from medvlp.data.prefetch import prefetch


def test_order_does_not_depend_on_who_is_first() -> None:
    def make(item: int) -> int:
        time.sleep(0.002 * (5 - item))
        return item * item

    for threads, ahead in ((1, 0), (3, 1), (3, 8)):
        assert list(prefetch(make, range(5), threads, ahead, "test")) == [0, 1, 4, 9, 16]


def test_items_are_taken_as_they_are_needed() -> None:
    taken: list[int] = []
    results = prefetch(str, (taken.append(i) or i for i in range(100)), 2, 3, "test")
    assert taken == []
    assert [next(results), next(results)] == ["0", "1"]
    assert len(taken) == 5
    results.close()


def test_an_error_comes_where_its_result_would_have_come() -> None:
    results = prefetch(lambda item: 1 / item, [1, 2, 0, 4], 2, 4, "test")
    assert [next(results), next(results)] == [1, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_whoever_stops_leaves_nothing_to_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    first, go = Event(), Event()

    class Pool(ThreadPoolExecutor):
        def __exit__(self, *error: Any) -> bool | None:
            go.set()  # what waits has been cancelled by now
            return super().__exit__(*error)

    def make(item: int) -> int:
        made.append(item)
        if item == 1:
            first.set()
            go.wait(20)
        return item

    monkeypatch.setattr("medvlp.data.prefetch.ThreadPoolExecutor", Pool)
    results = prefetch(make, range(10), 1, 4, "test")
    assert next(results) == 0
    assert first.wait(20)  # the thread is at 1, and 2 to 4 wait for it
    results.close()
    assert made == [0, 1]
