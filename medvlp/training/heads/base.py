"""`Head`: what fine-tuning trains, a task-specific network on a pretrained encoder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import nn

from medvlp.data.augment import STRENGTHS
from medvlp.data.loader import BatchLoader
from medvlp.data.store import Store
from medvlp.methods.base import Options
from medvlp.models import ImageEncoder
from medvlp.training.finetune_recipe import FinetuneRecipe
from medvlp.training.recipe_errors import RecipeError
from medvlp.training.task import ParameterGroup, TrainingTask
from medvlp.training.validation import evaluating, spread_rows


class Head(TrainingTask):
    """A network on an encoder, with its loss and its validation. A subclass is one file; see `classification`.

    Args:
        encoder: pretrained or not; the network takes it or a part of it.
        options: of this head, validated.
        recipe, store: of the run.
        fabric: launched; whose rank loads its own batches.
        encoder_card: `name`, `dim` and `patch_stride`, from which a saved model builds the encoder again.
        generated: the encoder was pretrained on generated data.

    Class attributes:
        Options: settings that a recipe may give under `options:`.
        kind: the registered name.
        metric, larger_is_better: of `measure`, by which the best model is chosen.

    Raises:
        RecipeError: no training or validation image has a label of this head.
    """

    Options: ClassVar[type[Options]] = Options
    findings: Sequence[str] = ()  # columns of `Batch.findings`
    structures: Sequence[str] = ()  # channels of `Batch.masks`

    def __init__(
        self,
        encoder: ImageEncoder,
        options: Any,
        recipe: FinetuneRecipe,
        store: Store,
        fabric: Fabric,
        encoder_card: dict[str, Any],
        generated: bool = False,
    ) -> None:
        super().__init__(self.network(encoder, options))
        self.options, self.recipe, self.store, self.generated = options, recipe, store, generated
        self._encoder_card = encoder_card
        data, ranks = recipe.data, fabric.world_size
        rows = self.labeled_rows(data.train_split)
        self.rows = _of_some_patients(store, rows, data.train_patients, recipe.seed)
        self.validation_rows = spread_rows(self.labeled_rows(data.validate_split), data.validate_images)
        self.validation_images = len(self.validation_rows)
        if recipe.encoder.freeze:
            self.encoder_part().requires_grad_(False)
        try:
            self.loader = BatchLoader(
                store,
                self.rows,
                None,
                self.findings,
                data.batch_size // ranks,
                recipe.seed,
                augment=STRENGTHS[data.augment],
                structures=self.structures,
                sampling_weights=data.sampling_weights,
                rank=fabric.global_rank,
                world_size=ranks,
                threads=data.prefetch,
            )
        except ValueError as error:
            raise RecipeError(f"data: {error}") from error

    @classmethod
    @abstractmethod
    def network(cls, encoder: ImageEncoder, options: Any) -> nn.Module:
        """The network: normalized images `[B, 1, H, W]` -> logits `[B, K, ...]`."""

    @classmethod
    @abstractmethod
    def outputs(cls, options: Any) -> tuple[str, ...]:
        """Names of the K outputs."""

    @abstractmethod
    def labeled_rows(self, split: str) -> NDArray[np.int64]:
        """Rows of a split (and of the recipe's views) that have a label. Raises RecipeError where none has."""

    @abstractmethod
    def encoder_part(self) -> nn.Module:
        """The part of `model` that comes from the encoder: it learns at the encoder's rate, and `freeze` keeps it."""

    @abstractmethod
    def measure(self, fabric: Fabric) -> dict[str, float]:
        """Values on `validation_rows`, in evaluation mode and without gradients."""

    def validate(self, fabric: Fabric) -> dict[str, float]:
        with evaluating(self):
            return self.measure(fabric)

    def train(self, mode: bool = True) -> Head:
        """Training or evaluation mode; a frozen encoder keeps its batch statistics."""
        super().train(mode)
        if self.recipe.encoder.freeze:
            self.encoder_part().eval()
        return self

    def parameter_groups(self) -> list[ParameterGroup]:
        """The head at the full rate, a pretrained encoder at `training.encoder_rate` times it."""
        scale = 1.0 if self.recipe.encoder.from_scratch else self.recipe.training.encoder_rate
        encoder = [p for p in self.encoder_part().parameters() if p.requires_grad]
        inside = {id(p) for p in self.encoder_part().parameters()}
        head = [p for p in self.model.parameters() if id(p) not in inside]
        return [ParameterGroup(head), *([ParameterGroup(encoder, scale)] if encoder else [])]

    def write_files(self, folder: Path) -> None:
        (folder / "recipe.yaml").write_text(self.recipe.to_yaml())
        self.store.letterbox.save(folder / "preprocess.json")

    def card(self) -> dict[str, Any]:
        outputs = list(self.outputs(self.options))
        return {"outputs": outputs, "encoder": self._encoder_card, "training_images": len(self.rows)}


def _of_some_patients(store: Store, rows: NDArray[np.int64], patients: int | None, seed: int) -> NDArray[np.int64]:
    """The rows of so many patients, drawn by the seed; all of them for None."""
    if patients is None:
        return rows
    ids = store.table["patient_id"].to_numpy()[rows]
    drawn = np.random.default_rng(seed).permutation(np.unique(ids))[:patients]
    return rows[np.isin(ids, drawn)]


def image_batches(store: Store, rows: NDArray[np.integer], device: torch.device, batch_size: int) -> Any:
    """Normalized images of some rows on a device, with the rows of each batch."""
    for start in range(0, len(rows), batch_size):
        chosen = rows[start : start + batch_size]
        yield chosen, store.preprocess.normalize(torch.from_numpy(store.images(chosen)).to(device))
