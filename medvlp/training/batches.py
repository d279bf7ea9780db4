"""The batches of a run: the loader that its recipe says, and those of a diverged step made again."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medvlp.data.augment import STRENGTHS
from medvlp.data.batch import Batch
from medvlp.data.loader import BatchLoader
from medvlp.data.store import Store
from medvlp.methods.auxiliary.base import AUXILIARY
from medvlp.methods.base import METHODS
from medvlp.models import ReportTokenizer
from medvlp.training.assemble import finding_ids
from medvlp.training.loop import step_batches
from medvlp.training.loss_buffer import diverged_file
from medvlp.training.model_folder import read_texts
from medvlp.training.recipe import Recipe
from medvlp.training.recipe_errors import RecipeError


def make_loader(
    recipe: Recipe,
    store: Store,
    tokenizer: ReportTokenizer,
    needs: Collection[str],
    rows: NDArray[np.int64],
    train: bool,
    rank: int = 0,
    world_size: int = 1,
) -> BatchLoader:
    """The loader of some rows of the recipe's store.

    Args:
        recipe, store, tokenizer: of the run.
        needs: `required_fields` of the method.
        rows: of the store.
        train: augmented and shuffled, each rank its share of `data.batch_size`; else every row as it is.
        rank, world_size: of a distributed run, where it trains.

    Raises:
        RecipeError: the recipe does not fit the store.
    """
    data, text = recipe.data, recipe.text_encoder
    try:
        return BatchLoader(
            store,
            rows,
            tokenizer,
            finding_ids(recipe),
            data.batch_size // world_size if train else data.batch_size,
            recipe.seed,
            train,
            augment=STRENGTHS[data.augment],
            max_tokens=text.max_tokens,
            max_sentences=data.max_sentences,
            max_sentence_tokens=min(data.max_sentence_tokens, text.max_tokens),
            sections=data.sections,
            places="places" in needs,
            concepts="concepts" in needs,
            rank=rank if train else 0,
            world_size=world_size if train else 1,
            threads=data.prefetch,
            sampling_weights=data.sampling_weights,
        )
    except ValueError as error:
        raise RecipeError(f"data: {error}") from error


def diverged_batches(run: Path | str, rank: int = 0) -> list[Batch]:
    """The batches of the step at which a run diverged, bit for bit: the same images, order, augmentation and texts.

    Args:
        run: its folder, with `diverged.json`.
        rank: of a distributed run, whose share is made.

    Raises:
        FileNotFoundError: the run did not diverge, or its store is gone.
    """
    run = Path(run)
    step = json.loads(diverged_file(run, rank).read_text())["step"]
    recipe = Recipe.load(run / "recipe.yaml")
    store = Store.open(recipe.data.store)
    needs = METHODS.get(recipe.method).required_fields
    needs = needs.union(*(AUXILIARY.get(name).required_fields for name in recipe.auxiliary))
    rows = store.rows(recipe.data.train_split, recipe.data.views)
    (tokenizer, _), ranks = read_texts(run), recipe.training.devices
    loader = make_loader(recipe, store, tokenizer, needs, rows, train=True, rank=rank, world_size=ranks)
    return next(step_batches(loader, step - 1, recipe.training.accumulate))
