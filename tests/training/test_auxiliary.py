"""Extras from a recipe: names and settings are checked, weights travel with the model, a resumed run is exact."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from medvlp.data import BatchLoader, Store
from medvlp.data.batch import Batch
from medvlp.methods.auxiliary.base import AUXILIARY
from medvlp.training.assemble import build
from medvlp.training.model_folder import load_model
from medvlp.training.pretraining import pretrain
from medvlp.training.recipe import Recipe
from medvlp.training.recipe_errors import RecipeError

MakeRecipe = Callable[..., Recipe]
ALL = [f"auxiliary.{name}={{}}" for name in AUXILIARY]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("auxiliary.fillip={}", r'auxiliary: "fillip" is unknown; did you mean "filip"'),
        ("auxiliary.filip.wieght=2", r"auxiliary\.filip\.wieght is not a key; did you mean auxiliary\.filip\.weight"),
        ("auxiliary.filip.weight=-1", r"auxiliary\.filip\.weight: .*greater than 0"),
        ("auxiliary.filip.false_negatives=same_txt", r'"same_txt" is unknown; did you mean "same_text"'),
        ("auxiliary.filip=3", r"auxiliary\.filip: .*dictionary"),
    ],
)
def test_wrong_names_and_settings_are_answered(
    tiny_recipe: MakeRecipe, tiny_store: Store, override: str, expected: str
) -> None:
    with pytest.raises(RecipeError, match=expected):
        build(tiny_recipe("method=clip", override), tiny_store)


def test_an_extra_that_reads_is_refused_by_a_method_that_does_not(tiny_recipe: MakeRecipe, tiny_store: Store) -> None:
    with pytest.raises(RecipeError, match=r"auxiliary\.filip: .*Unimodal has none"):
        build(tiny_recipe("method=unimodal", "auxiliary.filip={}"), tiny_store)
    assert build(tiny_recipe("method=unimodal", "auxiliary.superclass={}"), tiny_store).method.reads_text is False


def test_a_name_alone_means_its_defaults_and_reads_back(tiny_recipe: MakeRecipe) -> None:
    recipe = tiny_recipe("method=clip", "auxiliary={filip: , superclass: {weight: 0.5}}")
    assert recipe.auxiliary == {"filip": {}, "superclass": {"weight": 0.5}}
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe


def test_the_old_key_is_read_with_a_warning(tiny_recipe: MakeRecipe) -> None:
    with pytest.warns(FutureWarning, match="extras is called auxiliary now"):
        recipe = tiny_recipe("method=clip", "extras.filip.weight=0.5")
    assert recipe.auxiliary == {"filip": {"weight": 0.5}}


def test_the_method_starts_with_the_weights_that_it_has_without_extras(
    tiny_recipe: MakeRecipe, tiny_store: Store
) -> None:
    alone = build(tiny_recipe("method=clip"), tiny_store).model.state_dict()
    whole = build(tiny_recipe("method=clip", *ALL), tiny_store).state_dict()
    assert all(torch.equal(whole[f"method.{name}"], tensor) for name, tensor in alone.items())
    assert {name.split(".")[1] for name in whole if name.startswith("auxiliary.")} == set(AUXILIARY)


class _Interrupted(Exception):
    pass


def test_a_run_with_every_extra_is_saved_and_resumed_to_the_same_bits(
    tiny_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe("method=clip", *ALL, "training.checkpoint_every=3", "training.ema=0.9", "training.epochs=2")
    whole = pretrain(recipe, tmp_path / "whole", progress=False)
    complete = BatchLoader.epoch

    def interrupted(self: BatchLoader, epoch: int, start: int = 0) -> Iterator[Batch]:
        yield from islice(complete(self, epoch, start), max(0, 5 - epoch * len(self) - start))
        if epoch:
            raise _Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(BatchLoader, "epoch", interrupted)
        with pytest.raises(_Interrupted):
            pretrain(recipe, tmp_path / "cut", progress=False)
    cut = pretrain(recipe, tmp_path / "cut", resume=True, progress=False)
    one, other = (load_file(run / "last" / "model.safetensors") for run in (whole, cut))
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    method = load_model(whole / "last", device="cpu").method
    assert all(torch.equal(tensor, one[f"method.{name}"]) for name, tensor in method.state_dict().items())
