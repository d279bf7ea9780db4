"""What a model in training can do so far: zero-shot AUROC, or loss, on a fixed sample of the validation split."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from medvlp.data.loader import BatchLoader
from medvlp.data.store import Store
from medvlp.methods.base import Method
from medvlp.methods.pretraining_objective import PretrainingObjective
from medvlp.metrics import auroc
from medvlp.models import ONE_RANK
from medvlp.reports.states import FindingState
from medvlp.training.recipe import Recipe
from medvlp.training.recipe_errors import RecipeError


def validation_rows(store: Store, recipe: Recipe) -> NDArray[np.int64]:
    """The rows that are validated on: evenly spread over the split, at most `data.validate_images`, always the same."""
    rows = store.rows(recipe.data.validate_split, recipe.data.views)
    wanted = min(len(rows), recipe.data.validate_images)
    return rows[np.linspace(0, max(len(rows) - 1, 0), wanted).round().astype(np.int64)]


class ZeroShotAuroc:
    """Macro AUROC of `method.score` over the findings that have a positive and a negative among the rows.

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

    def __call__(self, method: Method, fabric: Fabric) -> dict[str, float]:
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
    """Mean of each loss over the batches of the validation split, without augmentation."""

    def __init__(self, loader: BatchLoader) -> None:
        self.loader = loader

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


@contextmanager
def evaluating(method: Method | PretrainingObjective) -> Iterator[None]:
    """Evaluation mode, without gradients and without other ranks inside the block; afterwards as before it."""
    was_training, ranks = method.training, method.ranks
    method.eval()
    method.ranks = ONE_RANK
    try:
        with torch.no_grad():
            yield
    finally:
        method.train(was_training)
        method.ranks = ranks
