"""`TrainingTask`: a model with what trains it and what measures it. The engine trains anything that is one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from lightning_fabric import Fabric
from torch import Tensor, nn

from medvlp.data.batch import Batch
from medvlp.data.loader import BatchLoader
from medvlp.models import ONE_RANK, Ranks
from medvlp.training.recipe_errors import RecipeError


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that learn at `rate_scale` times the learning rate of the run."""

    parameters: Sequence[nn.Parameter]
    rate_scale: float = 1.0


class TrainingTask(nn.Module, ABC):
    """A model, its losses and its validation: a pretraining method, a segmentation head, a classification head.

    The engine calls the task as a module (`task(batch)` gives its losses), so that mixed precision and the reduction of
    gradients over ranks apply. What is saved are the weights of `model`.

    Args:
        model: what is trained.

    Attributes:
        kind: what the card of a saved model calls it: `pretraining`, or the name of a head.
        generated: begun from a model of generated data.
        loader: the training batches of this rank.
        metric: name of the value of `validate` that decides the best model. larger_is_better: its direction.
        ranks: of a distributed run; the engine sets it.
        validation_images: how many `validate` scores; 0: there is nothing to validate on.
    """

    kind: ClassVar[str]
    generated: bool = False
    loader: BatchLoader
    metric: str
    larger_is_better: bool = True
    validation_images: int = 0
    ranks: Ranks = ONE_RANK

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of a batch. Raises RecipeError where there are none."""
        losses = self.losses(batch)
        if not losses:
            raise RecipeError("options: every loss of the method has the weight 0; give one of them more")
        return losses

    @abstractmethod
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Named scalar losses, each already weighted: the engine sums them. No host sync."""

    @abstractmethod
    def validate(self, fabric: Fabric) -> dict[str, float]:
        """Values on the validation rows, `metric` among them; the rank's own work, without communication."""

    def check_validation(self, fabric: Fabric) -> None:
        """Called before the first step, on the device. Raises RecipeError where `validate` cannot rank models."""

    @abstractmethod
    def write_files(self, folder: Path) -> None:
        """Write what a model folder holds beside weights and card."""

    def card(self) -> dict[str, Any]:
        """The task's own entries of `card.json`."""
        return {}

    def parameter_groups(self) -> list[ParameterGroup]:
        """Trainable parameters by learning rate; here all at the full one."""
        return [ParameterGroup([p for p in self.model.parameters() if p.requires_grad])]

    def after_reading(self) -> None:
        """Called after the first step and after each validation, on the first rank: warn of what was found there."""
