"""A model folder gives back the same scores, and says what is wrong with a folder that is none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file, save_file

from medvlp.data import Preprocess, Store
from medvlp.io.atomic_write import DiskFullError
from medvlp.methods.base import Method
from medvlp.training.assemble import build, load_book, make_tokenizer
from medvlp.training.model_folder import GENERATED_NOTICE, ModelFolder, ModelFolderError, load_model
from medvlp.training.pretraining import PretrainingTask
from medvlp.training.recipe import Recipe

FILES = {"recipe.yaml", "model.safetensors", "tokenizer", "preprocess.json", "knowledge.yaml", "card.json"}


def make_task(recipe: Recipe, store: Store) -> PretrainingTask:
    book = load_book(recipe)
    texts = make_tokenizer(recipe, store, book), book
    return PretrainingTask(recipe, store, *texts, False, Fabric(accelerator="cpu"))


@pytest.fixture
def saved(tiny_recipe: Callable[..., Recipe], tiny_store: Store, tmp_path: Path) -> tuple[Path, Method]:
    recipe = tiny_recipe("method=clip")
    task = make_task(recipe, tiny_store)
    ModelFolder(tmp_path / "model").write(task, recipe, tiny_store, result={"step": 7})
    return tmp_path / "model", task.model.eval()


def test_loaded_model_scores_as_the_saved_one(saved: tuple[Path, Method], tiny_store: Store) -> None:
    folder, method = saved
    assert {path.name for path in folder.iterdir()} == FILES
    model = load_model(folder, device="cpu")
    images = tiny_store.preprocess.normalize(torch.from_numpy(tiny_store.images([0, 1, 2])))
    with torch.no_grad():
        expected = method.score(images, ["pneumothorax", "edema"])  # edema was never trained on: the book must know it
        got = model.method.score(images, ["pneumothorax", "edema"])
    assert torch.equal(got, expected)
    assert not model.method.training
    assert (model.recipe.method, model.findings) == ("clip", ("pleural_effusion", "pneumothorax", "cardiomegaly"))
    assert model.preprocess == Preprocess(size=32)
    assert (model.generated, model.notice) == (True, GENERATED_NOTICE)
    assert (model.card["step"], model.card["store"]) == (7, tiny_store.hash)


def test_the_same_recipe_and_store_give_the_same_weights(tiny_recipe: Callable[..., Recipe], tiny_store: Store) -> None:
    one = build(tiny_recipe("method=clip"), tiny_store).model.state_dict()
    torch.rand(5)
    other = build(tiny_recipe("method=clip"), tiny_store).model.state_dict()
    reseeded = build(tiny_recipe("method=clip", "seed=1"), tiny_store).model.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not torch.equal(one["image_head.layers.weight"], reseeded["image_head.layers.weight"])


def test_building_leaves_the_global_generator_alone(tiny_recipe: Callable[..., Recipe], tiny_store: Store) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build(tiny_recipe(), tiny_store)
    assert torch.equal(torch.rand(3), expected)


def test_missing_weights_are_named(saved: tuple[Path, Method]) -> None:
    folder, _ = saved
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelFolderError, match=r"model\.safetensors missing\. The weights did not come along"):
        load_model(folder)


def test_a_run_without_a_model_yet_points_to_resume(saved: tuple[Path, Method]) -> None:
    folder, _ = saved
    (folder / "model.safetensors").unlink()
    (folder / "card.json").unlink()
    with pytest.raises(ModelFolderError, match="--resume"):
        load_model(folder)


def test_other_folders_are_refused(saved: tuple[Path, Method], tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="There is no model folder"):
        load_model(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelFolderError, match=r"not a complete model folder: recipe\.yaml, model\.safetensors"):
        load_model(tmp_path / "empty")


@pytest.mark.parametrize("keep", [0, 5, 4000])
def test_damaged_weights_are_named(saved: tuple[Path, Method], keep: int) -> None:
    path = saved[0] / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelFolderError, match="damaged"):
        load_model(saved[0])


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


def test_computed_buffers_of_another_version_are_ignored_aloud(saved: tuple[Path, Method]) -> None:
    name = "text_encoder.network.embeddings.position_ids"
    rewrite(saved[0], lambda weights: weights.update({name: torch.arange(48)[None]}))
    with pytest.warns(UserWarning, match=r"ignored computed buffers .*position_ids"):
        model = load_model(saved[0])
    assert torch.equal(model.method.state_dict()["scale.log_scale"], saved[1].state_dict()["scale.log_scale"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("scale.log_scale"), "scale.log_scale is missing"),
        (lambda w: w.update({"surprise": torch.ones(1)}), "surprise is not part of the model"),
        (lambda w: w.update({"scale.log_scale": torch.ones(2)}), "scale.log_scale is [2], the recipe makes []"),
    ],
)
def test_weights_that_do_not_fit_are_listed(
    saved: tuple[Path, Method], change: Callable[[dict[str, torch.Tensor]], object], message: str
) -> None:
    rewrite(saved[0], change)
    with pytest.raises(ModelFolderError, match="do not fit its recipe") as caught:
        load_model(saved[0])
    assert message in str(caught.value)


def test_a_full_disk_leaves_the_model_as_it_was(
    saved: tuple[Path, Method], tiny_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = saved
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    recipe = load_model(folder).recipe
    task = make_task(recipe, tiny_store)

    def full(self: Path, data: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)  # the card, after the weights
    with torch.no_grad():
        task.model.get_parameter("scale.log_scale").add_(1)
    with pytest.raises(DiskFullError, match="its earlier files are intact"):
        ModelFolder(folder).write(task, recipe, tiny_store)
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_the_folder_can_be_moved(saved: tuple[Path, Method], tmp_path: Path) -> None:
    shutil.move(saved[0], tmp_path / "elsewhere")
    assert load_model(tmp_path / "elsewhere").card["medvlp"]


def test_the_card_is_readable_by_people(saved: tuple[Path, Method]) -> None:
    card = json.loads((saved[0] / "card.json").read_text())
    assert card["notice"] == GENERATED_NOTICE
    assert card["findings"] == ["pleural_effusion", "pneumothorax", "cardiomegaly"]
