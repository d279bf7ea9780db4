import errno
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from medvlp.data import Preprocess, prepare
from medvlp.evaluation import Protocol, compare_dice, evaluate_segmentation
from medvlp.io.atomic_write import DiskFullError
from medvlp.metrics import dice, mask_areas
from medvlp.tasks import TaskError, load
from medvlp.tasks.finetune import _optimiser, build_segmenter, finetune, training_rows
from medvlp.tasks.finetune_recipe import FinetuneRecipe
from medvlp.tasks.mask_batches import MaskBatches, mask_rows
from medvlp.tasks.segment_rows import row_areas
from medvlp.training.model_folder import ModelFolderError
from medvlp.training.recipe_errors import RecipeError

NOTICE = "Trained on generated data. Not for clinical use."


@pytest.fixture(scope="module")
def recipe(store, model_folder):
    text = f"""
structures: [lungs]
encoder: {{model: {model_folder}}}
decoder: {{width: 4}}
data: {{store: {store.path}, batch_size: 10, augment: false}}
training: {{epochs: 5, warmup_steps: 2, learning_rate: 5e-3, precision: 32}}
"""
    return lambda *overrides: FinetuneRecipe.from_yaml(text, overrides)


@pytest.fixture(scope="module")
def folder(recipe, tmp_path_factory):
    return finetune(recipe(), tmp_path_factory.mktemp("segmenter") / "lungs", shows=False)


@pytest.fixture(scope="module")
def segmenter(folder):
    return load(folder, "cpu")


def test_it_learns_the_lungs_of_other_patients(segmenter, store, tmp_path):
    got = evaluate_segmentation(segmenter.segmenter, store, Protocol(resamples=50))
    lungs = got.structures["lungs"]
    assert lungs["dice"].value > 0.85
    assert lungs["dice"].low <= lungs["dice"].value <= lungs["dice"].high
    assert set(lungs) == {"dice", "dice_empty_is_one", "dice_with_background"}
    assert got.protocol["patients"] == lungs["dice"].n == 15
    saved = json.loads((got.save(tmp_path) / "result.json").read_text())
    assert (saved["notice"], saved["structures"]["lungs"]["dice"]["value"]) == (NOTICE, lungs["dice"].value)
    same = compare_dice(got, got)
    assert (same["lungs"].value, same["lungs"].low, same["lungs"].high) == (0, 0, 0)


def test_areas_are_those_of_the_masks(segmenter, store):
    rows = store.rows("test")[:3]
    areas = row_areas(segmenter.segmenter, store, rows)
    pixels = store.preprocess.normalize(torch.from_numpy(store.images(rows)))
    with torch.no_grad():
        predicted = segmenter.segmenter.probabilities(pixels).numpy() >= 0.5
    expected = [mask_areas(p[0], t[0] == 1) for p, t in zip(predicted, store.masks(rows), strict=True)]
    np.testing.assert_array_equal(areas[:, 0], expected)


def test_the_folder_is_complete_and_marked(folder, recipe):
    files = {p.name for p in folder.iterdir()}
    assert {"model.safetensors", "recipe.yaml", "preprocess.json", "card.json", "metrics.jsonl"} <= files
    card = json.loads((folder / "card.json").read_text())
    assert (card["task"], card["notice"], card["structures"]) == ("segmentation", NOTICE, ["lungs"])
    assert FinetuneRecipe.load(folder / "recipe.yaml") == recipe()
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert max(line["dice"] for line in lines if line["split"] == "validate") == card["validation_dice"]


def test_masks_of_a_file_have_its_size_and_bad_files_a_reason(segmenter, pictures, store, tmp_path):
    path = pictures.table["path"].iloc[store.rows("test")[0]]
    missing, whole = segmenter.segment([tmp_path / "none.png", path])
    assert (missing.status, missing.masks) == ("no such file", {})
    assert whole.masks["lungs"].shape == (48, 64)
    truth = np.zeros((48, 64), bool)
    truth[3:43, 4:58] = True  # where the lungs are on average
    assert dice(whole.masks["lungs"], truth) > 0.8
    assert whole.areas()["lungs_share"] == whole.masks["lungs"].mean()


def test_a_segmentation_model_does_not_label_and_the_reverse(segmenter, model, pictures):
    with pytest.raises(TaskError, match="is a segmentation model"):
        segmenter.label(pictures.table["path"].iloc[0])
    with pytest.raises(TaskError, match="no segmentation head; `medvlp finetune"):
        model.segment(pictures.table["path"].iloc[0])


def test_the_encoder_is_that_of_the_model_unless_from_scratch(recipe, store, model):
    trunk = dict(model.trained.method.image_encoder.trunk.named_parameters())
    taken = dict(build_segmenter(recipe(), store).net.trunk.named_parameters())
    assert trunk.keys() == taken.keys()
    assert all(torch.equal(trunk[name], taken[name]) for name in trunk)
    scratch = dict(build_segmenter(recipe("encoder.scratch=true"), store).net.trunk.named_parameters())
    assert trunk.keys() == scratch.keys()
    assert not torch.equal(trunk[next(iter(trunk))], scratch[next(iter(trunk))])


def test_an_encoder_from_scratch_learns_at_the_full_rate(recipe, store):
    rates = {}
    for scratch in (False, True):
        optimizer, _ = _optimiser(build_segmenter(recipe(f"encoder.scratch={scratch}"), store), total=20)
        rates[scratch] = [group["initial_lr"] for group in optimizer.param_groups]
    assert rates == {False: [5e-3, pytest.approx(1.5e-3)], True: [5e-3, 5e-3]}


def test_equal_seeds_give_equal_weights(recipe, tmp_path):
    short = recipe("training.max_steps=2", "data.augment=true")
    folders = [finetune(short, tmp_path / name, shows=False) for name in "ab"]
    assert (folders[0] / "model.safetensors").read_bytes() == (folders[1] / "model.safetensors").read_bytes()


def test_a_frozen_encoder_stays_as_it_was(recipe, tmp_path, model):
    run = finetune(recipe("encoder.freeze=true", "training.max_steps=2"), tmp_path / "run", shows=False)
    before, after = (
        model.trained.method.image_encoder.trunk.state_dict(),
        load(run, "cpu").segmenter.net.trunk.state_dict(),
    )
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_few_training_patients_are_drawn_by_patient(recipe, store):
    rows = training_rows(recipe("data.train_patients=4"), store)
    assert store.table["patient_id"].iloc[rows].nunique() == 4
    assert len(rows) == 8
    assert rows.tolist() == training_rows(recipe("data.train_patients=4"), store).tolist()
    assert rows.tolist() != training_rows(recipe("data.train_patients=4", "seed=1"), store).tolist()


def test_batches_move_masks_with_their_images(store):
    rows = mask_rows(store, ["lungs"], "train")
    images, masks = next(iter(MaskBatches(store, rows, ["lungs"], 16, seed=0).epoch(0)))
    inside, outside = images[:, 0][masks[:, 0] == 1].mean(), images[:, 0][masks[:, 0] == 0].mean()
    assert inside - outside > 0.5  # the lungs are brighter, wherever they were moved to
    again = next(iter(MaskBatches(store, rows, ["lungs"], 16, seed=0).epoch(0)))
    assert torch.equal(images, again[0])
    assert not torch.equal(images, next(iter(MaskBatches(store, rows, ["lungs"], 16, seed=0).epoch(1)))[0])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("structures=[lung]", "no mask 'lung'; it has lungs"),
        ("decoder.name=unett", "did you mean unet"),
        ("encoder.model=/nowhere", "There is no model folder"),
        ("data.views=[LATERAL]", "no image with a mask of lungs"),
    ],
)
def test_what_does_not_fit_is_said_before_the_first_step(recipe, tmp_path, override, message):
    with pytest.raises((TaskError, RecipeError, ModelFolderError), match=message):
        finetune(recipe(override), tmp_path / "run", shows=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainng.epochs=3", 'did you mean "training"'),
        ("training.epoch=3", "did you mean training.epochs"),
        ("training.precision=fp16", "Valid: 32, bf16"),
        ("structures=[lungs, lungs]", "names one twice"),
        ("encoder={freeze: true}", "freeze keeps random weights"),
    ],
)
def test_a_misspelt_recipe_names_the_nearest(recipe, override, message):
    with pytest.raises(RecipeError, match=message):
        recipe(override)


def test_a_store_prepared_otherwise_is_refused(recipe, pictures, tmp_path):
    other = prepare(pictures.select(np.arange(56, 64)), tmp_path / "store", Preprocess(size=48), workers=0)
    with pytest.raises(TaskError, match="size: 48 against 64"):
        finetune(recipe(f"data.store={other.path}"), tmp_path / "run", shows=False)


def test_a_full_disk_loses_nothing(recipe, tmp_path, monkeypatch):
    """The second save finds no room: the model of the first stays, and loads."""
    write, saves = Path.write_bytes, []

    def write_until_full(path, data):
        if path.name == "model.safetensors":
            saves.append(path)
            if len(saves) == 2:
                write(path, data[:100])
                raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_until_full)
    with pytest.raises(DiskFullError, match="earlier files are intact"):
        finetune(recipe(), tmp_path / "run", shows=False)
    assert json.loads((tmp_path / "run" / "card.json").read_text())["step"] == 5
    assert load(tmp_path / "run", "cpu").segmenter.structures == ("lungs",)
    assert not list((tmp_path / "run").glob(".partial*"))


def test_a_folder_that_holds_a_model_is_not_overwritten(recipe, folder):
    with pytest.raises(TaskError, match="holds a model already"):
        finetune(recipe(), folder, shows=False)


def test_a_folder_without_weights_and_damaged_weights(folder, tmp_path):
    for name in ("recipe.yaml", "preprocess.json", "card.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(ModelFolderError, match=r"model\.safetensors missing"):
        load(tmp_path)
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(ModelFolderError, match="damaged or do not fit"):
        load(tmp_path)
