"""Data without what a method learns from, and patches that it cannot miss, are refused before the first step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from medvlp.data import Manifest, Preprocess, Store, prepare
from medvlp.methods.auxiliary.base import AUXILIARY
from medvlp.methods.base import METHODS
from medvlp.models import ReportTokenizer
from medvlp.training.assemble import build, load_book, make_tokenizer
from medvlp.training.data_requirements import check_patch_dropping
from medvlp.training.model_folder import load_model
from medvlp.training.pretraining import pretrain
from medvlp.training.recipe import Recipe
from medvlp.training.recipe_errors import RecipeError

SILENT = ("", "")
NAMELESS = ("Comparison was made.", "The patient is rotated.")
PLACELESS = ("There is cardiac failure. No pneumothorax.", "There is infiltration.")
STORES = {
    "reports": (SILENT, True),
    "findings": (NAMELESS, False),
    "places": (PLACELESS, True),
    "concepts": (NAMELESS, True),
}
# What the losses of each method are made of, as its paper says.
LEARNS_FROM = {
    "biovil": {"reports"},
    "carzero": {"reports", "findings"},
    "chexzero": {"reports"},
    "clip": {"reports"},
    "conceptclip": {"reports", "concepts"},
    "convirt": {"reports"},
    "devide": {"reports", "findings"},
    "dlilp": {"reports", "findings"},
    "gloria": {"reports"},
    "kad": {"reports", "findings"},
    "keep": {"reports", "findings"},
    "mavl": {"reports", "findings", "places"},
    "medclip": {"reports", "findings"},
    "medklip": {"reports", "findings", "places"},
    "medslip": {"reports", "findings", "places"},
    "mflag": {"reports"},
    "mgca": {"reports"},
    "unicl": {"reports", "findings"},
    "unimodal": {"findings"},
}
AUXILIARY_LEARN_FROM = {
    "filip": {"reports"},
    "medcutmix": {"reports", "findings"},
    "softclip": {"reports"},
    "superclass": {"reports"},
    "tcl": {"reports"},
}
SAID = {
    "reports": (r"(reports|sentences|places)", r"come with mimic_cxr, openi"),
    "findings": (r"labels of the recipe's findings", r"Labels come with nih_cxr"),
    "places": (r"places that reports give", r"findings and where they are come with mimic_cxr"),
    "concepts": (r"mentions of findings in reports", r"that name findings .* come with mimic_cxr"),
}


@pytest.fixture(scope="session")
def poor_stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Store]:
    """What is missing -> 8 noisy pictures without it."""
    return {what: _store(tmp_path_factory.mktemp(what), *texts) for what, texts in STORES.items()}


def _store(folder: Path, reports: tuple[str, str], labeled: bool) -> Store:
    random, rows = np.random.default_rng(0), []
    for i in range(8):
        Image.fromarray(random.integers(0, 255, (32, 32), np.uint8)).save(folder / f"{i}.png")
        labels = {"pneumothorax": str(i % 2)} if labeled else {}
        ids = {"patient_id": f"p{i}", "study_id": f"s{i}", "image_id": f"i{i}", "view": "PA", "split": "train"}
        rows.append({**ids, "path": str(folder / f"{i}.png"), "report": reports[i % 2], **labels})
    return prepare(Manifest(pd.DataFrame(rows), generated=True), folder / "store", Preprocess(size=32), workers=0)


@pytest.fixture(scope="session")
def tokenizer(poor_stores: dict[str, Store]) -> ReportTokenizer:
    """One tokenizer for all runs."""
    recipe = _recipe(poor_stores["places"])
    return make_tokenizer(recipe, poor_stores["places"], load_book(recipe))


def _recipe(store: Store, *overrides: str) -> Recipe:
    text = f"""
method: clip
findings: [pneumothorax, cardiomegaly]
data: {{store: {store.path}, batch_size: 4, prefetch: 0}}
image_encoder: {{name: test_resnet.r160_in1k, dim: 32}}
text_encoder: {{layers: 1, width: 32, heads: 2, vocab_size: 300, max_tokens: 48}}
training: {{max_steps: 1, warmup_steps: 1, accelerator: cpu, precision: 32}}
"""
    return Recipe.from_yaml(text, overrides)


def test_every_method_and_extra_is_here() -> None:
    assert set(LEARNS_FROM) <= set(METHODS.names())
    assert sorted(AUXILIARY_LEARN_FROM) == sorted(AUXILIARY)


@pytest.mark.parametrize(
    ("key", "missing"),
    [(f"method={name}", need) for name, needs in LEARNS_FROM.items() for need in sorted(needs)]
    + [(f"auxiliary.{name}={{}}", need) for name, needs in AUXILIARY_LEARN_FROM.items() for need in sorted(needs)],
)
def test_a_store_without_it_is_refused(
    poor_stores: dict[str, Store], tokenizer: ReportTokenizer, tmp_path: Path, key: str, missing: str
) -> None:
    recipe = _recipe(poor_stores[missing], key)
    with pytest.raises(RecipeError) as refused:
        pretrain(recipe, tmp_path / "run", progress=False, tokenizer=tokenizer)
    words, source = SAID[missing]
    assert refused.match(
        rf"^(method: |auxiliary\.)\w+:?.* learns from .*{words}.* in the split 'train' has any\. .*{source}"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("method", "missing"), [("unimodal", "reports"), ("clip", "findings"), ("devide", "places"), ("kad", "concepts")]
)
def test_a_store_without_what_is_not_needed_trains(
    poor_stores: dict[str, Store], tokenizer: ReportTokenizer, tmp_path: Path, method: str, missing: str
) -> None:
    recipe = _recipe(poor_stores[missing], f"method={method}")
    out = pretrain(recipe, tmp_path / "run", progress=False, tokenizer=tokenizer)
    assert load_model(out, device="cpu").card["step"] == 1


@pytest.mark.parametrize("method", ["conceptclip", "medslip"])
def test_a_store_that_has_it_trains(tiny_recipe: Callable[..., Recipe], tmp_path: Path, method: str) -> None:
    recipe = tiny_recipe(f"method={method}", "training.max_steps=1", "training.log_every=1")
    assert load_model(pretrain(recipe, tmp_path / "run", progress=False), device="cpu").card["step"] == 1


def test_an_extra_is_told_from_the_method(
    poor_stores: dict[str, Store], tokenizer: ReportTokenizer, tmp_path: Path
) -> None:
    recipe = _recipe(poor_stores["reports"], "method=unimodal", "auxiliary.superclass={}")
    with pytest.raises(RecipeError, match=r"^auxiliary\.superclass: it learns from reports, and none of the 8 images"):
        pretrain(recipe, tmp_path / "run", progress=False, tokenizer=tokenizer)


def test_the_labels_that_a_store_has_are_named(
    poor_stores: dict[str, Store], tokenizer: ReportTokenizer, tmp_path: Path
) -> None:
    recipe = _recipe(poor_stores["concepts"], "method=unimodal", "findings=[edema, nodule]")
    with pytest.raises(RecipeError, match=r"labels of the recipe's findings.* The store has labels of pneumothorax\.$"):
        pretrain(recipe, tmp_path / "run", progress=False)


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
