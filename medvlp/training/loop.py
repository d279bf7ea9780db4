"""The loop. One step: batch -> task.losses -> backward -> clip -> step -> schedule -> (every k) log."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from medvlp.data.batch import Batch
from medvlp.models import ONE_RANK
from medvlp.training.gather import AllRanks
from medvlp.training.loss_buffer import LossBuffer
from medvlp.training.optimizer import MovingAverage, learning_rate, make_optimizer, set_learning_rate
from medvlp.training.recipe import LoopRecipe
from medvlp.training.task import TrainingTask


class Loader(Protocol):
    """What the loop asks of a loader: batches as a pure function of epoch and position."""

    def __len__(self) -> int: ...
    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from position `start` on."""


class Trainer:
    """A task with its optimizer: `train_step` is all that happens to the weights.

    Args:
        fabric: launched; decides device, precision and ranks.
        task: moved to the device, trained in place.
        settings: of the recipe.
        seed: of everything random in a step (dropout): a function of seed, step and rank, whatever ran before.
        total_steps: of the run, for the schedule.
        buffer: where the losses of each step go.
    """

    def __init__(
        self,
        fabric: Fabric,
        task: TrainingTask,
        settings: LoopRecipe,
        seed: int,
        total_steps: int,
        buffer: LossBuffer,
    ) -> None:
        self.fabric, self.task, self.settings = fabric, task, settings
        self.seed, self.total_steps, self.buffer = seed, total_steps, buffer
        task.ranks = AllRanks() if fabric.world_size > 1 else ONE_RANK
        self.model, self.optimizer = fabric.setup(task, make_optimizer(task.parameter_groups(), settings))
        self.average = MovingAverage(task.model, settings.ema) if settings.ema is not None else None
        self._trainable = [parameter for parameter in task.model.parameters() if parameter.requires_grad]
        self.step = 0

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return learning_rate(min(self.step, self.total_steps - 1), self.settings, self.total_steps)

    def train_step(self, batches: Sequence[Batch]) -> None:
        """One update of the weights from `training.accumulate` batches. No host sync: nothing is read back."""
        torch.manual_seed(_seed_of(self.seed, self.step, self.fabric.global_rank))
        set_learning_rate(self.optimizer, self.rate)
        losses: dict[str, Tensor] = {}
        for i, batch in enumerate(batches):
            with self.fabric.no_backward_sync(self.model, enabled=i + 1 < len(batches)):
                terms = self.model(batch.to(self.fabric.device))
                self.fabric.backward(torch.stack(list(terms.values())).sum() / len(batches))
            for name, term in terms.items():
                losses[name] = losses.get(name, 0) + term.detach() / len(batches)
        norm = self._clip()
        self.optimizer.step()
        torch.autograd.graph.increment_version(self._trainable)  # fused kernels do not; TextBank relies on it
        self.optimizer.zero_grad(set_to_none=True)
        if self.average:
            self.average.update(self.step)
        self.step += 1
        self.buffer.add(self.step, losses, norm, [image for batch in batches for image in batch.image_ids])

    def _clip(self) -> Tensor | None:
        if self.settings.clip_norm is None:
            return None
        # error_if_nonfinite would read the norm back; the buffer looks at it at the next log step instead
        return self.fabric.clip_gradients(
            self.model, self.optimizer, max_norm=self.settings.clip_norm, error_if_nonfinite=False
        )

    def weights(self) -> dict[str, Tensor]:
        """What is saved: the averaged weights where there is an average, else the model's own."""
        return {**self.task.model.state_dict(), **(self.average.average if self.average else {})}


def step_batches(loader: Loader, step: int, accumulate: int) -> Generator[list[Batch]]:
    """The batches of step `step` (from 0), of the next one, and so on for ever.

    The m-th batch of a run is batch `m mod len(loader)` of epoch `m div len(loader)`; step s takes batches
    `s accumulate` to `(s + 1) accumulate - 1`. So a step number is all that a resumed run has to know.
    """
    batches = _batches(loader, step * accumulate)
    while True:
        yield [next(batches) for _ in range(accumulate)]


def _batches(loader: Loader, position: int) -> Iterator[Batch]:
    epoch, start = divmod(position, len(loader))
    while True:
        yield from loader.epoch(epoch, start)
        epoch, start = epoch + 1, 0


def _seed_of(seed: int, step: int, rank: int) -> int:
    """A well mixed seed below 2^63."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> np.uint64(1))
