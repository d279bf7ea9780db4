"""`pretrain`: a recipe and a prepared store become a pretrained model."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from lightning_fabric import Fabric
from torch import Tensor

from medvlp.data.batch import Batch
from medvlp.data.store import Store
from medvlp.knowledge import KnowledgeBook
from medvlp.methods.base import Method
from medvlp.models import KnowledgePairs, LabelCaptions, Ranks, ReportTokenizer, text_encoders
from medvlp.training.assemble import assemble, check_hubs, load_book, make_tokenizer
from medvlp.training.batches import make_loader
from medvlp.training.checkpoint import RunState
from medvlp.training.data_requirements import check_patch_dropping, check_requirements
from medvlp.training.engine import train
from medvlp.training.model_folder import PRETRAINING, ModelFolder, read_texts, write_method
from medvlp.training.recipe import Recipe
from medvlp.training.task import TrainingTask
from medvlp.training.validation import ValidationAuroc, ValidationLoss, evaluating, validation_rows

_SHOWN = 30  # truncated texts that a warning lists


class PretrainingTask(TrainingTask):
    """A pretraining method with its losses, validated by zero-shot AUROC or by its loss.

    Args:
        recipe, store: of the run.
        tokenizer, book: new, or those of a continued run.
        pretrained: begin with the public weights that the recipe names; False where the weights of a checkpoint follow.
        fabric: launched; whose rank loads its own batches.

    Raises:
        RecipeError: the recipe does not fit the store.
    """

    kind: ClassVar[str] = PRETRAINING

    def __init__(
        self,
        recipe: Recipe,
        store: Store,
        tokenizer: ReportTokenizer,
        book: KnowledgeBook,
        pretrained: bool,
        fabric: Fabric,
    ) -> None:
        objective = assemble(recipe, tokenizer, book, store.letterbox.size, pretrained=pretrained)
        super().__init__(objective.model)
        self.objective, self.method = objective, objective.method
        self.recipe, self.store = recipe, store
        self.metric, self.larger_is_better = recipe.training.metric, recipe.training.metric == "auroc"
        rows = store.rows(recipe.data.train_split, recipe.data.views)
        needs, ranks = objective.required_fields, (fabric.global_rank, fabric.world_size)
        self.loader = make_loader(recipe, store, tokenizer, needs, rows, True, *ranks)
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
            self._validation = ValidationLoss(make_loader(recipe, store, tokenizer, needs, rows, train=False))
        else:
            unmentioned, size = recipe.training.unmentioned, recipe.data.batch_size
            self._validation = ValidationAuroc(store, rows, self.method.findings, unmentioned, size)

    @property
    def ranks(self) -> Ranks:  # type: ignore[override]
        """Of a distributed run; those of the method."""
        return self.objective.ranks

    @ranks.setter
    def ranks(self, ranks: Ranks) -> None:
        self.objective.ranks = ranks

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        return self.objective.losses(batch)

    def check_validation(self, fabric: Fabric) -> None:
        if isinstance(self._validation, ValidationLoss) and fabric.world_size == 1:  # ranks have no room for its graph
            self._validation.check(self.objective, fabric)

    def validate(self, fabric: Fabric) -> dict[str, float]:
        assert self._validation is not None  # the engine validates where there are images
        with evaluating(self):
            if isinstance(self._validation, ValidationLoss):
                return self._validation(self.objective, fabric)
            return self._validation(self.method, fabric)

    def write_files(self, folder: Path) -> None:
        write_method(folder, self.method, self.recipe, self.store.preprocess)

    def card(self) -> dict[str, Any]:
        return {"method": self.recipe.method, "findings": list(self.method.findings)}

    def after_reading(self) -> None:
        self._truncated.warn()


def pretrain(
    recipe: Recipe,
    out: Path | str,
    resume: bool = False,
    progress: bool = True,
    tokenizer: ReportTokenizer | None = None,
) -> Path:
    """Train the recipe's method with `medvlp.training.engine.train`; returns the model folder `out`.

    Args:
        recipe, out, resume, progress: as in `train`, with the same errors.
        tokenizer: of `make_tokenizer` for a recipe with the same store, sections, text encoder and book, so that many
            runs learn it once; None makes one.
    """

    def make_task(recipe: Recipe, store: Store, state: RunState | None, fabric: Fabric) -> PretrainingTask:
        if state is not None:
            return PretrainingTask(recipe, store, *read_texts(Path(out)), False, fabric)
        return _new_task(recipe, store, fabric, tokenizer)

    return train(recipe, out, make_task, resume, progress)


def save_untrained(recipe: Recipe, store: Store, out: Path | str) -> None:
    """Write the model folder of a method before its first step, to compare with.

    Raises:
        RecipeError: the recipe does not fit the store.
    """
    ModelFolder(out).write(_new_task(recipe, store, Fabric(accelerator="cpu")), recipe, store, result={"step": 0})


def _new_task(
    recipe: Recipe, store: Store, fabric: Fabric, tokenizer: ReportTokenizer | None = None
) -> PretrainingTask:
    check_hubs(recipe)
    book = load_book(recipe)
    tokenizer = tokenizer or make_tokenizer(recipe, store, book)
    return PretrainingTask(recipe, store, tokenizer, book, recipe.image_encoder.pretrained, fabric)


class TruncatedTexts:
    """Names the texts of the book, the captions and the prompts that have lost their end, each once in a run.

    What a method reads is known when it has read it: its losses' texts after the first step, its prompts after the
    first validation by AUROC. Prompts that training never reads (`training.metric=loss`, or no validation images) are
    not seen here, and neither is what is asked of the trained model later; reports lose their end without a warning.

    Args:
        recipe: what the method was built from.
        method: the one in training.
    """

    def __init__(self, recipe: Recipe, method: Method) -> None:
        self.recipe, self.method = recipe, method
        self.warned: set[str] = set()

    def warn(self) -> None:
        """Say in one warning which of the texts read so far are cut, what each loses, and what to set."""
        if not self.method.reads_text:
            return
        lost = self.method.bank.truncated_texts()
        for part in self.method.modules():
            if isinstance(part, KnowledgePairs | LabelCaptions):
                lost |= part.truncated_texts
        if new := {text: tokens for text, tokens in lost.items() if text not in self.warned}:
            self.warned.update(new)
            logging.getLogger(__name__).warning(_words(self.recipe, self.method, new))


def _words(recipe: Recipe, method: Method, lost: Mapping[str, int]) -> str:
    limit = method.text_encoder.max_tokens
    entries = [f"{_origin(method.book, text)} loses {n}" for text, n in lost.items()]
    more = f"; and {len(entries) - _SHOWN} more" if len(entries) > _SHOWN else ""
    if recipe.text_encoder.name in text_encoders:
        advice = f"Set text_encoder.max_tokens={limit + max(lost.values())}, or give shorter texts in knowledge.book."
    else:
        advice = f"{recipe.text_encoder.name} reads no more: give shorter texts in knowledge.book."
    return (
        f"{recipe.method} reads texts longer than the {limit} tokens of its text encoder, and their end is cut off: "
        f"{'; '.join(entries[:_SHOWN])}{more} (tokens). {advice}"
    )


def _origin(book: KnowledgeBook, text: str) -> str:
    """The finding and the facets of the book that a text is made of, or the text itself, cut short."""
    for finding in book.findings:
        said = {facet: book.text(finding, facet) for facet in book.facets}
        if facets := [facet for facet, words in said.items() if words and words in text]:
            return f"{' and '.join(facets)} of {finding}"
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
