"""`TrainingClock`: time spent in steps, and how many of them fit a budget of minutes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

_TRUSTED = 0.05  # share of the budget after which the speed is known well enough: the first steps are slow


class TrainingClock:
    """Counts the seconds inside `running()`. Validations, checkpoints and saving happen outside and cost no budget.

    Args:
        minutes: the budget; None: there is none.
        seconds: spent in earlier starts of the run.
    """

    def __init__(self, minutes: float | None, seconds: float = 0.0) -> None:
        self.limit = None if minutes is None else 60 * minutes
        self._seconds = seconds
        self._since: float | None = None

    @property
    def seconds(self) -> float:
        """Time in steps so far, the present step included."""
        return self._seconds + (0.0 if self._since is None else time.monotonic() - self._since)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Time passes inside the block."""
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._seconds, self._since = self.seconds, None

    def fitted_steps(self, step: int, planned: int) -> int:
        """How many steps the run will have, after step `step`: at the present speed the budget ends with the last.

        Never more than `planned`, and that without a budget or before a twentieth of it is spent; when it is spent, it
        is `step`.
        """
        if self.limit is None:
            return planned
        share = self.seconds / self.limit
        if share >= 1:
            return min(planned, step)
        return planned if share < _TRUSTED else min(planned, max(step + 1, round(step / share)))
