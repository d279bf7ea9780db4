"""`RunPlan`: what a run will do, computed once and printed before the first step; and the clock of `max_minutes`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from medvlp.data.loader import BatchLoader
from medvlp.reports.states import FindingState
from medvlp.training.recipe import LoopRecipe

_TRUSTED = 0.05  # fraction of the budget after which the speed is known well enough: the first steps are slow


@dataclass(frozen=True)
class RunPlan:
    """The size of a run.

    Attributes:
        images, studies, patients: that it trains on.
        positives: finding -> training images on which it is present.
        validation_images: that each validation scores.
        images_per_step: over all ranks and accumulated batches.
        steps, steps_per_epoch: updates of the weights, in all and in an epoch (at least 1).
        limit: the setting that ends the run.
        validate_every, checkpoint_every: steps between them.
        precision: the number format, and why.
    """

    images: int
    studies: int
    patients: int
    positives: dict[str, int]
    validation_images: int
    images_per_step: int
    steps: int
    steps_per_epoch: int
    limit: str
    validate_every: int
    checkpoint_every: int
    precision: str

    @classmethod
    def of(cls, settings: LoopRecipe, loader: BatchLoader, validation_images: int, precision: str) -> RunPlan:
        """The plan of a run on the batches of a loader."""
        table = loader.store.table.iloc[loader.rows]
        present = (loader.states[loader.rows] == FindingState.PRESENT).sum(0).tolist()
        per_epoch = max(1, len(loader) // settings.accumulate)
        steps, limit = _steps(settings, len(loader))
        validate_every = settings.validate_every or per_epoch * settings.validate_epochs
        return cls(
            images=len(table),
            studies=table["study_id"].nunique(),
            patients=table["patient_id"].nunique(),
            positives=dict(zip(loader.findings, present, strict=True)),
            validation_images=validation_images,
            images_per_step=loader.global_batch_size * settings.accumulate,
            steps=steps,
            steps_per_epoch=per_epoch,
            limit=limit,
            validate_every=validate_every,
            checkpoint_every=settings.checkpoint_every or validate_every,
            precision=precision,
        )

    def __str__(self) -> str:
        found = sorted(self.positives.items(), key=lambda item: -item[1])
        lines = [
            f"{self.images} training images of {self.studies} studies and {self.patients} patients, "
            f"{self.validation_images} validation images",
            f"{self.steps} steps of {self.images_per_step} images ({self.steps / self.steps_per_epoch:.1f} epochs), "
            f"ended by {self.limit}; validation every {self.validate_every}, checkpoint every {self.checkpoint_every}",
            self.precision,
        ]
        if found:
            lines.insert(1, "positives: " + ", ".join(f"{name} {count}" for name, count in found))
        return "\n".join(lines)


def _steps(settings: LoopRecipe, batches: int) -> tuple[int, str]:
    """How many steps, and which setting says so."""
    by_steps = settings.max_steps
    if settings.epochs is None:
        assert by_steps is not None  # one of the two is given
        steps, limit = by_steps, f"training.max_steps={by_steps}"
    else:
        steps, limit = max(1, settings.epochs * batches // settings.accumulate), f"training.epochs={settings.epochs}"
        if by_steps is not None and by_steps < steps:
            steps, limit = by_steps, f"training.max_steps={by_steps}"
        elif by_steps is not None and by_steps > steps:
            limit += f" (training.max_steps={by_steps} is not reached; training.epochs=null lets it decide)"
    if settings.max_minutes is not None:
        limit += f" or training.max_minutes={settings.max_minutes:g}, whichever comes first"
    return steps, limit


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
        spent = self.seconds / self.limit
        if spent >= 1:
            return min(planned, step)
        return planned if spent < _TRUSTED else min(planned, max(step + 1, round(step / spent)))
