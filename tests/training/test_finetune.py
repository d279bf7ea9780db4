"""Fine-tuning by the shared engine: what it learns, writes, resumes and refuses, and each part of its step."""

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file
from torch import nn

from medvlp.data import Preprocess, Store, prepare
from medvlp.data.augment import Augment
from medvlp.data.loader import BatchLoader
from medvlp.evaluation import Protocol, compare_dice, evaluate_segmentation
from medvlp.io.atomic_write import DiskFullError
from medvlp.metrics import dice, mask_areas
from medvlp.models import ImageFeatures, image_encoders
from medvlp.objectives import pixel_bce, soft_dice
from medvlp.tasks import TaskError, load
from medvlp.training.checkpoint import ResumeError
from medvlp.training.finetune_recipe import FinetuneRecipe
from medvlp.training.finetuning import build_head, finetune, load_finetuned
from medvlp.training.heads.segmentation import mask_rows, row_areas
from medvlp.training.loop import Trainer
from medvlp.training.model_folder import ModelFolderError, PreprocessingError
from medvlp.training.optimizer import make_optimizer
from medvlp.training.recipe_errors import RecipeError

NOTICE = "Trained on generated data. Not for clinical use."


@pytest.fixture(scope="module")
def recipe(store, model_folder):
    text = f"""
task: segmentation
options: {{structures: [lungs], width: 4}}
encoder: {{model: {model_folder}}}
data: {{store: {store.path}, batch_size: 10, augment: none}}
training: {{epochs: 5, warmup_steps: 2, learning_rate: 5e-3, precision: 32, accelerator: cpu}}
"""
    return lambda *overrides: FinetuneRecipe.from_yaml(text, overrides)


def build(recipe: FinetuneRecipe, store: Store):
    return build_head(recipe, store, None, Fabric(accelerator="cpu"))


@pytest.fixture(scope="module")
def folder(recipe, tmp_path_factory):
    return finetune(recipe(), tmp_path_factory.mktemp("segmenter") / "lungs", progress=False)


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
    areas = row_areas(segmenter.segmenter.probabilities, ["lungs"], store, rows)
    pixels = store.preprocess.normalize(torch.from_numpy(store.images(rows)))
    with torch.no_grad():
        predicted = segmenter.segmenter.probabilities(pixels).numpy() >= 0.5
    expected = [mask_areas(p[0], t[0] == 1) for p, t in zip(predicted, store.masks(rows), strict=True)]
    np.testing.assert_array_equal(areas[:, 0], expected)


def test_the_folder_is_complete_and_marked(folder, recipe):
    files = {p.name for p in folder.iterdir()}
    assert {"model.safetensors", "recipe.yaml", "preprocess.json", "card.json", "metrics.jsonl"} <= files
    card = json.loads((folder / "card.json").read_text())
    assert (card["task"], card["notice"], card["outputs"]) == ("segmentation", NOTICE, ["lungs"])
    assert FinetuneRecipe.load(folder / "recipe.yaml") == recipe()
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert max(line["dice"] for line in lines if line["split"] == "validate") == card["dice"]


def test_masks_of_a_file_have_its_size_and_bad_files_a_reason(segmenter, pictures, store, tmp_path):
    path = pictures.table["path"].iloc[store.rows("test")[0]]
    missing, whole = segmenter.segment([tmp_path / "none.png", path])
    assert (missing.file.status, missing.masks) == ("no such file", {})
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
    taken = dict(build(recipe(), store).model.trunk.named_parameters())
    assert trunk.keys() == taken.keys()
    assert all(torch.equal(trunk[name], taken[name]) for name in trunk)
    scratch = dict(build(recipe("encoder.scratch=true"), store).model.trunk.named_parameters())
    assert trunk.keys() == scratch.keys()
    assert not torch.equal(trunk[next(iter(trunk))], scratch[next(iter(trunk))])


def test_an_encoder_from_scratch_learns_at_the_full_rate(recipe, store):
    rates = {}
    for scratch in (False, True):
        chosen = recipe(f"encoder.scratch={scratch}")
        optimizer = make_optimizer(build(chosen, store).parameter_groups(), chosen.training)
        rates[scratch] = [group["rate_scale"] for group in optimizer.param_groups]
    assert rates == {False: [1.0, 1.0, 0.3, 0.3], True: [1.0] * 4}


def test_equal_seeds_give_equal_weights(recipe, tmp_path):
    short = recipe("training.max_steps=2", "data.augment=full")
    folders = [finetune(short, tmp_path / name, progress=False) for name in "ab"]
    assert (folders[0] / "model.safetensors").read_bytes() == (folders[1] / "model.safetensors").read_bytes()


def test_a_frozen_encoder_stays_as_it_was(recipe, tmp_path, model):
    run = finetune(recipe("encoder.freeze=true", "training.max_steps=2"), tmp_path / "run", progress=False)
    before, after = (
        model.trained.method.image_encoder.trunk.state_dict(),
        load(run, "cpu").segmenter.net.trunk.state_dict(),
    )
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_few_training_patients_are_drawn_by_patient(recipe, store):
    rows = build(recipe("data.train_patients=4"), store).rows
    assert store.table["patient_id"].iloc[rows].nunique() == 4
    assert len(rows) == 8
    assert rows.tolist() == build(recipe("data.train_patients=4"), store).rows.tolist()
    assert rows.tolist() != build(recipe("data.train_patients=4", "seed=1"), store).rows.tolist()


def test_batches_move_masks_with_their_images(store):
    rows = mask_rows(store, ["lungs"], "train")
    loader = BatchLoader(store, rows, None, (), 16, structures=["lungs"])
    batch = next(loader.epoch(0))
    images, masks = batch.images, batch.masks
    inside, outside = images[:, 0][masks[:, 0] == 1].mean(), images[:, 0][masks[:, 0] == 0].mean()
    assert inside - outside > 0.5  # the lungs are brighter, wherever they were moved to
    assert torch.equal(images, next(loader.epoch(0)).images)
    assert not torch.equal(images, next(loader.epoch(1)).images)


def test_masks_move_exactly_as_their_images(store, monkeypatch):
    """On pictures of the masks themselves, each moved mask covers its moved picture."""
    monkeypatch.setattr(store, "images", lambda rows: store.masks(rows)[:, 0] * 255)
    moves = Augment(brightness=0, contrast=0, gamma=0, noise=0)
    rows = mask_rows(store, ["lungs"], "train")
    loader = BatchLoader(store, rows, None, (), 16, structures=["lungs"], augment=moves)
    batch = next(loader.epoch(0))
    pictures, masks = batch.images[:, 0], batch.masks[:, 0]
    bright = pictures > (pictures.min() + pictures.max()) / 2
    assert (bright != (masks == 1)).float().mean((1, 2)).max() < 0.01
    still = torch.from_numpy(store.masks(loader.order(0)[:16])[:, 0])
    assert ((still != masks).float().mean((1, 2)) > 0.01).all()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("options.structures=[lung]", "no mask 'lung'; it has lungs"),
        ("options.decoder=unett", 'did you mean "?unet'),
        ("encoder.model=/nowhere", "There is no model folder"),
        ("data.views=[LATERAL]", "the train split has no LATERAL images"),
        ("task=segmentaton", 'did you mean "segmentation"'),
        ("options.widht=4", "did you mean options.width"),
        ("options.structures=[lungs, lungs]", "names one twice"),
    ],
)
def test_what_does_not_fit_is_said_before_the_first_step(recipe, tmp_path, override, message):
    with pytest.raises((TaskError, RecipeError, ModelFolderError), match=message):
        finetune(recipe(override), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainng.epochs=3", 'did you mean "training"'),
        ("training.epoch=3", "did you mean training.epochs"),
        ("training.precision=fp16", "Valid: 32, auto, bf16"),
        ("encoder={freeze: true}", "freeze keeps random weights"),
    ],
)
def test_a_misspelled_recipe_names_the_nearest(recipe, override, message):
    with pytest.raises(RecipeError, match=message):
        recipe(override)


def test_a_store_prepared_otherwise_is_refused(recipe, pictures, tmp_path):
    other = prepare(pictures.select(np.arange(56, 64)), tmp_path / "store", Preprocess(size=48), workers=0)
    with pytest.raises(PreprocessingError, match="size: 48 against 64"):
        finetune(recipe(f"data.store={other.path}"), tmp_path / "run", progress=False)


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
        finetune(recipe(), tmp_path / "run", progress=False)
    assert json.loads((tmp_path / "run" / "card.json").read_text())["step"] == 5
    assert load(tmp_path / "run", "cpu").segmenter.outputs == ("lungs",)
    assert not list((tmp_path / "run").glob(".partial*"))


def test_a_folder_that_holds_a_model_is_not_overwritten(recipe, folder):
    with pytest.raises(ResumeError, match="holds a run already"):
        finetune(recipe(), folder, progress=False)


def test_a_folder_without_weights_and_damaged_weights(folder, tmp_path):
    for name in ("recipe.yaml", "preprocess.json", "card.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(ModelFolderError, match=r"model\.safetensors missing"):
        load(tmp_path)
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(ModelFolderError, match="damaged"):
        load(tmp_path)


def test_validation_scores_the_validation_split(recipe, store):
    head = build(recipe(), store)
    assert head.validation_rows.tolist() == store.rows("validate").tolist()
    assert head.rows.tolist() == store.rows("train").tolist()


def test_the_loss_weighs_dice_and_cross_entropy(recipe, store):
    head = build(recipe("options.dice_weight=0.8"), store).eval()
    batch = next(head.loader.epoch(0))
    with torch.no_grad():
        losses, logits = head(batch), head.model(batch.images)
    assert losses["dice_loss"].item() == pytest.approx(0.8 * soft_dice(logits, batch.masks).item())
    assert losses["bce_loss"].item() == pytest.approx(0.2 * pixel_bce(logits, batch.masks).item())


class _Interrupted(Exception):
    pass


@pytest.mark.parametrize("settings", [(), ("training.ema=0.9", "training.accumulate=2", "data.augment=full")])
def test_a_resumed_run_ends_in_the_same_bits(recipe, tmp_path, monkeypatch, settings):
    chosen = recipe("training.max_steps=4", "training.checkpoint_every=1", "training.validate_every=2", *settings)
    whole = finetune(chosen, tmp_path / "whole", progress=False)
    step, done = Trainer.train_step, []

    def fail_at_the_third(self, batches):
        if len(done) == 2:
            raise _Interrupted
        done.append(step(self, batches))

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_step", fail_at_the_third)
        with pytest.raises(_Interrupted):
            finetune(chosen, tmp_path / "cut", progress=False)
    cut = finetune(chosen, tmp_path / "cut", resume=True, progress=False)
    for name in ("", "last"):
        one, other = (load_file(run / name / "model.safetensors") for run in (whole, cut))
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_classification_head_learns_and_labels_files(store, model_folder, pictures, tmp_path):
    text = f"""
task: classification
options: {{findings: [pleural_effusion, pneumothorax, cardiomegaly]}}
encoder: {{model: {model_folder}}}
data: {{store: {store.path}, batch_size: 10, augment: none}}
training: {{epochs: 6, warmup_steps: 2, learning_rate: 5e-3, precision: 32, accelerator: cpu, patience: null}}
"""
    out = finetune(FinetuneRecipe.from_yaml(text), tmp_path / "run", progress=False)
    card = json.loads((out / "card.json").read_text())
    assert (card["task"], card["notice"]) == ("classification", NOTICE)
    assert card["auroc"] > 0.8
    model = load(out, "cpu")
    assert model.findings == ("pleural_effusion", "pneumothorax", "cardiomegaly")
    table = model.label(list(pictures.table["path"].iloc[store.rows("test")[:3]]))
    assert table[list(model.findings)].apply(lambda column: column.between(0, 1)).all(axis=None)
    with pytest.raises(KeyError, match="was not trained on 'edema'"):
        model.label(pictures.table["path"].iloc[0], ["edema"])
    with pytest.raises(TaskError, match="is a classification model"):
        model.embed(texts="an effusion")
    with pytest.raises(RecipeError, match="has a label"):
        build(FinetuneRecipe.from_yaml(text, ["options.findings=[edema]"]), store)


def test_a_folder_of_the_previous_version_loads(folder, store, tmp_path):
    """The layout that `finetune` wrote before it shared the engine: other keys, and a card with the trunk alone."""
    old = tmp_path / "old"
    old.mkdir()
    for name in ("model.safetensors", "preprocess.json"):
        (old / name).write_bytes((folder / name).read_bytes())
    (old / "recipe.yaml").write_text(
        f"task: segmentation\nstructures: [lungs]\nseed: 0\nencoder: {{model: gone}}\n"
        f"decoder: {{name: unet, width: 4}}\ndata: {{store: {store.path}, batch_size: 10, augment: false}}\n"
        "training: {epochs: 5, dice_weight: 0.5, encoder_rate: 0.3, validate_every: 1, precision: '32'}\n"
    )
    card = {"task": "segmentation", "structures": ["lungs"], "trunk": "test_resnet.r160_in1k", "generated": True}
    (old / "card.json").write_text(json.dumps(card))
    with pytest.warns(FutureWarning, match=r"structures is called options\.structures now") as warned:
        loaded = load_finetuned(old, "cpu")
    assert len(warned) == 5
    assert (loaded.recipe.data.augment, loaded.recipe.training.validate_epochs) == ("none", 1)
    assert (loaded.outputs, loaded.notice) == (("lungs",), NOTICE)
    images = store.preprocess.normalize(torch.from_numpy(store.images([0])))
    with torch.no_grad():
        assert torch.equal(loaded.probabilities(images), load_finetuned(folder, "cpu").probabilities(images))


def test_validation_masks_without_a_pixel_are_refused(recipe, store, monkeypatch):
    masks = Store.masks
    monkeypatch.setattr(Store, "masks", lambda self, rows: np.minimum(masks(self, rows), 0))
    with pytest.raises(RecipeError, match="Dice cannot rank models"):
        build(recipe(), store)


class Tower(nn.Module):
    """A registered encoder: one patch for each 16 pixels, mapped linearly."""

    def __init__(self, pretrained: bool, image_size: int, dim: int | None, patch_stride: int, patch_dropping: float):
        super().__init__()
        self.dim = dim or 8
        self.patch = nn.Conv2d(1, self.dim, 16, stride=16)

    def forward(self, images: torch.Tensor) -> ImageFeatures:
        feature_map = self.patch(images)
        patches = feature_map.flatten(2).mT
        return ImageFeatures(patches.mean(1), patches, tuple(feature_map.shape[2:]), [feature_map])


def test_a_registered_tower_is_fine_tuned_saved_and_loaded(store, tmp_path, monkeypatch):
    monkeypatch.setitem(image_encoders._members, "tower", Tower)
    text = f"""
task: classification
options: {{findings: [pleural_effusion]}}
encoder: {{name: tower}}
data: {{store: {store.path}, batch_size: 10}}
training: {{max_steps: 1, precision: 32, accelerator: cpu}}
"""
    loaded = load_finetuned(finetune(FinetuneRecipe.from_yaml(text), tmp_path / "run", progress=False), "cpu")
    assert isinstance(loaded.net.encoder, Tower)
    assert loaded.card["encoder"] == {"name": "tower", "dim": 8, "patch_stride": 16}
    with pytest.raises(RecipeError, match="`pyramid_strides` of its encoder; Tower has none"):
        build(FinetuneRecipe.from_yaml(text, ["task=segmentation", "options={structures: [lungs]}"]), store)
