"""Patch dropping is refused at start by methods that need places, and trains those that do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from medvlp.data import Store
from medvlp.training.assemble import build
from medvlp.training.data_requirements import check_patch_dropping
from medvlp.training.model_folder import load_model
from medvlp.training.pretraining import pretrain
from medvlp.training.recipe import Recipe
from medvlp.training.recipe_errors import RecipeError

DROPPING = ("image_encoder.name=test_vit", "image_encoder.patch_dropping=0.5", "training.epochs=1")


def test_a_method_on_whole_images_trains_with_half_of_the_patches(
    tiny_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    out = pretrain(tiny_recipe("method=clip", *DROPPING), tmp_path / "run", progress=False)
    assert load_model(out, device="cpu").recipe.image_encoder.patch_dropping == 0.5


def test_a_method_that_needs_the_grid_is_refused_before_it_writes_anything(
    tiny_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=r"image_encoder\.patch_dropping: .* have no grid .* such as clip"):
        pretrain(tiny_recipe("method=devide", *DROPPING), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_convnet_is_refused_by_name(tiny_recipe: Callable[..., Recipe], tiny_store: Store) -> None:
    with pytest.raises(RecipeError, match=r"image_encoder\.patch_dropping: test_resnet"):
        build(tiny_recipe("image_encoder.patch_dropping=0.5"), tiny_store)


def test_the_dry_run_leaves_the_method_and_the_generator_alone(
    tiny_recipe: Callable[..., Recipe], tiny_store: Store, toy_loader: Callable[..., object]
) -> None:
    method = build(tiny_recipe("method=unimodal", *DROPPING), tiny_store)
    before = {name: tensor.clone() for name, tensor in method.state_dict().items()}
    batch = toy_loader().batch(0, 0)
    batch.images = torch.randn(4, 1, 32, 32)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    check_patch_dropping(method, batch)
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(before[name], tensor) for name, tensor in method.state_dict().items())
