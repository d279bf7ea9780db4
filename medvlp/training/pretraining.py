"""`pretrain`: a recipe and a prepared store become a pretrained model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from lightning_fabric import Fabric
from torch import Tensor

from medvlp.data.batch import Batch
from medvlp.data.store import Store
from medvlp.models import Ranks
from medvlp.training.assemble import Parts, assemble, parts_from_store
from medvlp.training.batches import make_loader
from medvlp.training.checkpoint import RunState
from medvlp.training.data_requirements import check_patch_dropping, check_requirements
from medvlp.training.engine import train
from medvlp.training.model_folder import PRETRAINING, ModelFolder, read_parts, write_parts
from medvlp.training.recipe import Recipe
from medvlp.training.task import TrainingTask
from medvlp.training.truncation import TruncatedTexts
from medvlp.training.validation import ValidationAuroc, ValidationLoss, evaluating, validation_rows


class PretrainingTask(TrainingTask):
    """A pretraining method with its losses, validated by zero-shot AUROC or by its loss.

    Args:
        recipe, store: of the run.
        parts: tokenizer, book and findings.
        pretrained: begin with the public weights that the recipe names; False where the weights of a checkpoint follow.
        fabric: launched; whose rank loads its own batches.

    Raises:
        RecipeError: the recipe does not fit the store.
    """

    kind: ClassVar[str] = PRETRAINING

    def __init__(self, recipe: Recipe, store: Store, parts: Parts, pretrained: bool, fabric: Fabric) -> None:
        objective = assemble(recipe, parts, pretrained=pretrained)
        super().__init__(objective.model)
        self.objective, self.method = objective, objective.method
        self.recipe, self.store, self.parts = recipe, store, parts
        self.metric, self.larger_is_better = recipe.training.metric, recipe.training.metric == "auroc"
        rows = store.rows(recipe.data.train_split, recipe.data.views)
        ranks = fabric.global_rank, fabric.world_size
        self.loader = make_loader(recipe, store, parts, objective.required_fields, rows, True, *ranks)
        check_requirements(recipe, objective, self.loader)
        if recipe.image_encoder.patch_dropping:
            check_patch_dropping(objective, next(self.loader.epoch(0)))
        self._truncated = TruncatedTexts(recipe, self.method)
        rows = validation_rows(store, recipe)
        self.validation_images = len(rows)
        self._validation: ValidationAuroc | ValidationLoss | None = None
        if not len(rows):
            return
        if self.metric == "loss":
            self._validation = ValidationLoss(
                make_loader(recipe, store, parts, objective.required_fields, rows, train=False)
            )
        else:
            unmentioned, size = recipe.training.unmentioned, recipe.data.batch_size
            self._validation = ValidationAuroc(store, rows, parts.findings, unmentioned, size)

    @property
    def ranks(self) -> Ranks:  # type: ignore[override]
        """Of a distributed run; those of the method."""
        return self.objective.ranks

    @ranks.setter
    def ranks(self, ranks: Ranks) -> None:
        self.objective.ranks = ranks

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        return self.objective.losses(batch)

    def validate(self, fabric: Fabric) -> dict[str, float]:
        assert self._validation is not None  # the engine validates where there are images
        with evaluating(self):
            if isinstance(self._validation, ValidationLoss):
                return self._validation(self.objective, fabric)
            return self._validation(self.method, fabric)

    def write_files(self, folder: Path) -> None:
        write_parts(folder, self.method, self.recipe, self.store.preprocess, self.parts)

    def card(self) -> dict[str, Any]:
        return {"method": self.recipe.method, "findings": list(self.parts.findings)}

    def after_reading(self) -> None:
        self._truncated.warn()


def pretrain(
    recipe: Recipe, out: Path | str, resume: bool = False, progress: bool = True, parts: Parts | None = None
) -> Path:
    """Train the recipe's method with `medvlp.training.engine.train`; returns the model folder `out`.

    Args:
        recipe, out, resume, progress: as in `train`, with the same errors.
        parts: of `parts_from_store` for a recipe with the same store, findings, text encoder and book, so that many
            runs learn one tokenizer once; None makes them.
    """

    def make_task(recipe: Recipe, store: Store, state: RunState | None, fabric: Fabric) -> PretrainingTask:
        if state is not None:
            saved = read_parts(Path(out), recipe, store.letterbox)
            return PretrainingTask(recipe, store, saved, False, fabric)
        known = parts or parts_from_store(recipe, store)
        return PretrainingTask(recipe, store, known, recipe.image_encoder.pretrained, fabric)

    return train(recipe, out, make_task, resume, progress)


def save_untrained(recipe: Recipe, store: Store, out: Path | str) -> None:
    """Write the model folder of a method before its first step, to compare with.

    Raises:
        RecipeError: the recipe does not fit the store.
    """
    parts, pretrained = parts_from_store(recipe, store), recipe.image_encoder.pretrained
    task = PretrainingTask(recipe, store, parts, pretrained, Fabric(accelerator="cpu"))
    ModelFolder(out).write(task, recipe, store, result={"step": 0})
