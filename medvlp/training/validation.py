"""Measuring a model in training: on which rows, by zero-shot AUROC or loss, and which validation was the best."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from medvlp.data.loader import BatchLoader
from medvlp.data.store import Store
from medvlp.methods.base import Method
from medvlp.methods.pretraining_objective import PretrainingObjective
from medvlp.metrics import auroc
from medvlp.models import ONE_RANK, Ranks
from medvlp.reports.states import FindingState
from medvlp.training.recipe import RunRecipe
from medvlp.training.recipe_errors import RecipeError
from medvlp.training.task import TrainingTask

_ADVICE = "Use training.metric=auroc or another data.validate_split; with an empty one the last model is kept."


def validation_rows(store: Store, recipe: RunRecipe) -> NDArray[np.int64]:
    """The rows that are validated on: evenly spread over the split, at most `data.validate_images`, always the same."""
    rows = store.rows(recipe.data.validate_split, recipe.data.views)
    return spread_rows(rows, recipe.data.validate_images)


def spread_rows(rows: NDArray[np.int64], limit: int | None) -> NDArray[np.int64]:
    """At most `limit` of the rows, evenly spread; all of them for None."""
    wanted = min(len(rows), limit or len(rows))
    return rows[np.linspace(0, max(len(rows) - 1, 0), wanted).round().astype(np.int64)]


class ValidationAuroc:
    """Macro AUROC of `score` over the findings that have a positive and a negative among the rows.

    Args:
        store, rows: what is scored.
        findings: ids.
        unmentioned: `negative` or `ignore`, see `TrainingRecipe`. Uncertain findings are left out.
        batch_size: images scored at once.

    Raises:
        RecipeError: no finding has both a positive and a negative.
    """

    def __init__(
        self, store: Store, rows: NDArray[np.int64], findings: tuple[str, ...], unmentioned: str, batch_size: int
    ) -> None:
        self.store, self.rows, self.batch_size = store, rows, batch_size
        states = store.states(findings)[rows]
        self.truth = states == FindingState.PRESENT
        self.known = self.truth | (states == FindingState.ABSENT)
        counted_negative = self.known | (states == FindingState.UNMENTIONED)
        if unmentioned == "negative":
            self.known = counted_negative
        self.defined = _two_sided(self.truth, self.known)
        self.findings = findings
        if not self.defined:
            helps = "training.unmentioned=negative, " if _two_sided(self.truth, counted_negative) else ""
            raise RecipeError(
                f"training.metric=auroc: among the {len(rows)} validation images no finding has both a positive and a "
                f"negative. Use {helps}training.metric=loss or another data.validate_split."
            )

    def __call__(self, method: Scorer, fabric: Fabric) -> dict[str, float]:
        """`{"auroc": macro, "auroc/<finding>": ...}`; the rank's own work, without communication."""
        parts = []
        with evaluating(method), fabric.autocast():
            for start in range(0, len(self.rows), self.batch_size):
                pixels = torch.from_numpy(self.store.images(self.rows[start : start + self.batch_size]))
                images = self.store.preprocess.normalize(pixels.to(fabric.device, non_blocking=True))
                parts.append(method.score(images, self.findings).float())
        scores = torch.cat(parts).cpu().numpy()
        each = {
            f"auroc/{self.findings[f]}": float(auroc(self.truth[rows, f], scores[rows, f]))
            for f in self.defined
            for rows in [self.known[:, f]]
        }
        return {"auroc": float(np.mean(list(each.values()))), **each}


def _two_sided(truth: NDArray[np.bool_], known: NDArray[np.bool_]) -> list[int]:
    """Columns of `[N, F]` that have a positive and a negative among the known rows; whatever is true is known."""
    positives, all_known = truth.sum(0), known.sum(0)
    return [f for f in range(truth.shape[1]) if 0 < positives[f] < all_known[f]]


class ValidationLoss:
    """Mean of each loss over the batches of the validation split, without augmentation.

    Raises:
        RecipeError: one image, which has nothing to be compared with: every contrast of it is 0.
    """

    def __init__(self, loader: BatchLoader) -> None:
        if len(loader.rows) < 2:
            raise RecipeError(
                "training.metric=loss: one validation image cannot rank models, since a contrast needs others to "
                f"compare it with. {_ADVICE}"
            )
        self.loader = loader

    def check(self, objective: PretrainingObjective, fabric: Fabric) -> None:
        """Refuse a loss that is no number on these images, or that no weight of the model changes.

        Raises:
            RecipeError: such a loss would call every model the best, or none.
        """
        parameters = [parameter for parameter in objective.parameters() if parameter.requires_grad]
        with evaluating(objective), torch.enable_grad(), fabric.autocast():
            for batch in self.loader.epoch(0):
                loss = torch.stack(list(objective.losses(batch.to(fabric.device)).values())).sum()
                if not loss.isfinite():
                    raise RecipeError(f"training.metric=loss: it is {loss:.3g} on the validation images. {_ADVICE}")
                gradients = torch.autograd.grad(loss, parameters, allow_unused=True) if loss.requires_grad else ()
                if any(gradient is not None and gradient.any() for gradient in gradients):
                    return
        raise RecipeError(
            f"training.metric=loss: on the {len(self.loader.rows)} validation images it is the same for every model, "
            f"so it cannot rank models; a contrast needs images whose texts differ. {_ADVICE}"
        )

    def __call__(self, objective: PretrainingObjective, fabric: Fabric) -> dict[str, float]:
        """`{"loss": sum, "<name>": ...}`; the rank's own work, without communication."""
        totals: dict[str, torch.Tensor] = {}
        images = 0
        with evaluating(objective), fabric.autocast():
            for batch in self.loader.epoch(0):
                for name, loss in objective.losses(batch.to(fabric.device)).items():
                    totals[name] = totals.get(name, 0) + loss.float() * len(batch)
                images += len(batch)
        means = {name: float(total) / images for name, total in totals.items()}
        return {"loss": sum(means.values()), **means}


class Scorer(Protocol):
    """A model that gives findings a probability: a `Method`, or the network of a classification."""

    ranks: Ranks
    training: bool

    def score(self, images: Tensor, findings: Sequence[str]) -> Tensor:
        """Normalized images `[B, 1, H, W]` -> `[B, F]`."""

    def train(self, mode: bool = True) -> Any: ...


@contextmanager
def evaluating(method: Method | PretrainingObjective | Scorer | TrainingTask) -> Iterator[None]:
    """Evaluation mode, without gradients and without other ranks inside the block; afterwards as before it."""
    was_training, ranks = method.training, method.ranks
    method.train(False)
    method.ranks = ONE_RANK
    try:
        with torch.no_grad():
            yield
    finally:
        method.train(was_training)
        method.ranks = ranks


@dataclass
class BestModel:
    """Keeps the best value of the validation metric. Only a strictly better value counts as better.

    Attributes:
        larger_is_better: True for `auroc`, False for `loss`.
        patience: validations without a better value before `should_stop`; None: never.
        value, step: of the best validation; None before the first.
        waited: validations since.
    """

    larger_is_better: bool
    patience: int | None = None
    value: float | None = None
    step: int | None = None
    waited: int = 0

    def update(self, value: float, step: int) -> bool:
        """Take in a validation; True when it is the best so far. An undefined value (NaN) is never better."""
        better = not math.isnan(value) and (
            self.value is None or (value > self.value if self.larger_is_better else value < self.value)
        )
        if better:
            self.value, self.step, self.waited = value, step, 0
        else:
            self.waited += 1
        return better

    @property
    def should_stop(self) -> bool:
        """Whether `patience` validations in a row brought nothing better."""
        return self.patience is not None and self.waited >= self.patience

    def standing(self, step: int) -> str:
        """How the validation at `step`, the last taken in, stands among all, in words."""
        if self.value is None:
            return "none has had a value"
        return "best so far" if self.step == step else f"best {self.value:.4f} at step {self.step}"

    def state(self) -> dict[str, float | int | None]:
        """What a checkpoint keeps."""
        return {key: value for key, value in asdict(self).items() if key in ("value", "step", "waited")}

    def load(self, state: dict[str, float | int | None]) -> None:
        """Continue from `state`."""
        for key, value in state.items():
            setattr(self, key, value)
