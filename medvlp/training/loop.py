"""The loop. One step: batch -> losses -> backward -> clip -> step -> schedule -> (every k) log."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from medvlp.data.batch import Batch
from medvlp.methods.pretraining_objective import PretrainingObjective
from medvlp.models import ONE_RANK
from medvlp.training.gather import AllRanks
from medvlp.training.loss_buffer import LossBuffer
from medvlp.training.moving_average import MovingAverage
from medvlp.training.optimizer import learning_rate, make_optimizer, set_learning_rate
from medvlp.training.recipe import TrainingRecipe
from medvlp.training.recipe_errors import RecipeError


class Loader(Protocol):
    """What the loop asks of a loader: batches as a pure function of epoch and position."""

    def __len__(self) -> int: ...
    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from position `start` on."""


class _Losses(nn.Module):
    """`losses` as a forward pass, so that Fabric's precision and DDP's gradient reduction apply to it."""

    def __init__(self, objective: PretrainingObjective) -> None:
        super().__init__()
        self.objective = objective

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        losses = self.objective.losses(batch)
        if not losses:
            raise RecipeError("options: every loss of the method has the weight 0; give one of them more")
        return losses


class Trainer:
    """An objective with its optimizer: `train_step` is all that happens to the weights.

    Args:
        fabric: launched; decides device, precision and ranks.
        objective: moved to the device, trained in place.
        settings: of the recipe.
        seed: of everything random in a step (dropout): a function of seed, step and rank, whatever ran before.
        total_steps: of the run, for the schedule.
        buffer: where the losses of each step go.
    """

    def __init__(
        self,
        fabric: Fabric,
        objective: PretrainingObjective,
        settings: TrainingRecipe,
        seed: int,
        total_steps: int,
        buffer: LossBuffer,
    ) -> None:
        self.fabric, self.objective, self.settings = fabric, objective, settings
        self.seed, self.total_steps, self.buffer = seed, total_steps, buffer
        objective.ranks = AllRanks() if fabric.world_size > 1 else ONE_RANK
        self.model, self.optimizer = fabric.setup(_Losses(objective), make_optimizer(objective, settings))
        self.average = MovingAverage(objective.model, settings.ema) if settings.ema is not None else None
        self._trainable = [parameter for parameter in objective.parameters() if parameter.requires_grad]
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
        """What is saved: the averaged weights where there is an average, else the objective's own."""
        return {**self.objective.model.state_dict(), **(self.average.average if self.average else {})}


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
