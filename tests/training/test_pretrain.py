"""Whole runs on a tiny store: what is written, early stop, resume to the same bits, and clear refusals."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file

from medvlp.data import BatchLoader, Preprocess, Store, index_data_set, prepare
from medvlp.data.batch import Batch
from medvlp.phantom import generate
from medvlp.training.assemble import load_book, make_tokenizer
from medvlp.training.checkpoint import ResumeError
from medvlp.training.loss_buffer import DivergedError
from medvlp.training.model_folder import load_model
from medvlp.training.pretraining import PretrainingTask, pretrain
from medvlp.training.recipe import Recipe
from medvlp.training.recipe_errors import RecipeError

MakeRecipe = Callable[..., Recipe]


def lines(folder: Path, split: str) -> list[dict[str, Any]]:
    entries = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [entry for entry in entries if entry["split"] == split]


def test_a_run_learns_and_writes_everything(tiny_recipe: MakeRecipe, tmp_path: Path) -> None:
    out = pretrain(tiny_recipe("training.epochs=12"), tmp_path / "run", progress=False)
    train, validate = lines(out, "train"), lines(out, "validate")
    assert [entry["step"] for entry in train] == list(range(2, 49, 2))
    assert [entry["step"] for entry in validate] == list(range(4, 49, 4))
    assert train[-1]["bce"] < 0.7 * train[0]["bce"]
    assert max(entry["auroc"] for entry in validate) > 0.85
    assert {"auroc/pneumothorax", "auroc/cardiomegaly", "auroc/pleural_effusion"} <= validate[0].keys()
    assert {"loss", "gradient_norm", "learning_rate", "images_per_second", "epoch", "seconds"} <= train[0].keys()
    assert train[1]["epoch"] == 1.0
    assert list((out / "tensorboard").glob("events*"))
    best = max(validate, key=lambda entry: entry["auroc"])
    assert load_model(out).card["step"] == best["step"]
    assert load_model(out).card["auroc"] == best["auroc"]
    assert load_model(out / "last").card["step"] == 48


def test_only_the_sections_of_the_recipe_are_read(tiny_recipe: MakeRecipe, tiny_store: Store, tmp_path: Path) -> None:
    def lengths(*overrides: str) -> list[int]:
        recipe = tiny_recipe("data.prefetch=0", *overrides)
        book = load_book(recipe)
        texts = make_tokenizer(recipe, tiny_store, book), book
        task = PretrainingTask(recipe, tiny_store, *texts, False, Fabric(accelerator="cpu"))
        batch = next(task.loader.epoch(0))
        return batch.sentence_mask.any(2).sum(1).tolist()

    assert set(lengths()) == {4}  # three findings and an impression
    assert set(lengths("data.sections=[impression]")) == {1}


class _Interrupted(Exception):
    pass


def interrupt_at_batch(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """The loader fails after so many batches, in the place of a kill."""
    whole = BatchLoader.epoch

    def epoch(self: BatchLoader, epoch: int, start: int = 0) -> Iterator[Batch]:
        before = epoch * len(self) + start
        yield from islice(whole(self, epoch, start), max(0, count - before))
        if before + len(self) - start > count:
            raise _Interrupted

    monkeypatch.setattr(BatchLoader, "epoch", epoch)


@pytest.mark.parametrize(
    "settings",
    [
        (
            "training.checkpoint_every=3",
            "training.accumulate=2",
            "training.ema=0.9",
            "training.metric=loss",
            "data.prefetch=0",
        ),
        ("method=clip", "training.precision=bf16", "training.checkpoint_every=1", "training.validate_every=3"),
        ("method=devide", "options={decoder_width: 32, dim: 16}", "training.checkpoint_every=5"),
    ],
)
def test_a_resumed_run_ends_in_the_same_bits(
    tiny_recipe: MakeRecipe, tmp_path: Path, settings: tuple[str, ...]
) -> None:
    recipe = tiny_recipe(*settings)
    whole = pretrain(recipe, tmp_path / "whole", progress=False)
    for stop in (7, 10):
        with pytest.MonkeyPatch.context() as monkeypatch:
            interrupt_at_batch(monkeypatch, stop)
            with pytest.raises(_Interrupted):
                pretrain(recipe, tmp_path / "cut", resume=stop > 7, progress=False)
    cut = pretrain(recipe, tmp_path / "cut", resume=True, progress=False)
    for model in ("", "last"):
        one, other = (load_file(run / model / "model.safetensors") for run in (whole, cut))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one), model
    for split in ("train", "validate"):
        timeless = [
            [
                {k: v for k, v in entry.items() if k not in ("seconds", "images_per_second")}
                for entry in lines(run, split)
            ]
            for run in (whole, cut)
        ]
        assert timeless[0] == timeless[1]


def test_resuming_a_finished_run_changes_nothing(tiny_recipe: MakeRecipe, tmp_path: Path) -> None:
    out = pretrain(tiny_recipe("training.epochs=1"), tmp_path / "run", progress=False)
    before = {name: (out / name).read_bytes() for name in ("model.safetensors", "metrics.jsonl", "card.json")}
    pretrain(tiny_recipe("training.epochs=1"), out, resume=True, progress=False)
    assert {name: (out / name).read_bytes() for name in before} == before


def test_early_stop_waits_for_patience(
    tiny_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([0.6, 0.8, 0.7, 0.8, 0.9])
    monkeypatch.setattr(
        "medvlp.training.validation.ValidationAuroc.__call__", lambda self, method, fabric: {"auroc": next(values)}
    )
    recipe = tiny_recipe("training.validate_every=2", "training.patience=2")
    out = pretrain(recipe, tmp_path / "run", progress=False)
    assert [entry["step"] for entry in lines(out, "validate")] == [2, 4, 6, 8]
    assert load_model(out).card["step"] == 4
    assert load_model(out / "last").card["step"] == 8
    pretrain(recipe, out, resume=True, progress=False)  # stays stopped
    assert len(lines(out, "validate")) == 4


def test_a_loss_that_is_no_number_stops_the_run_and_names_its_images(
    tiny_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = BatchLoader._batch
    seen: list[list[str]] = []

    def batch(self: BatchLoader, order: Any, epoch: int, step: int) -> Batch:
        made = whole(self, order, epoch, step)
        if (epoch, step) == (1, 1):
            made.images[0] = float("nan")
            seen.append(made.image_ids)
        return made

    monkeypatch.setattr(BatchLoader, "_batch", batch)
    with pytest.raises(DivergedError, match="diverged at step 6: bce = nan"):
        pretrain(tiny_recipe("training.log_every=5"), tmp_path / "run", progress=False)
    assert json.loads((tmp_path / "run" / "diverged.json").read_text())["image_ids"] == seen[0]
    weights = load_file(tmp_path / "run" / "model.safetensors")  # saved before, at the end of the first epoch
    assert all(tensor.isfinite().all() for tensor in weights.values())


def test_a_folder_with_a_run_is_not_overwritten(tiny_recipe: MakeRecipe, tmp_path: Path) -> None:
    out = pretrain(tiny_recipe("training.max_steps=1"), tmp_path / "run", progress=False)
    with pytest.raises(ResumeError, match="--resume"):
        pretrain(tiny_recipe("training.max_steps=1"), out, progress=False)


def test_resuming_another_recipe_is_refused(tiny_recipe: MakeRecipe, tmp_path: Path) -> None:
    out = pretrain(tiny_recipe("training.max_steps=1"), tmp_path / "run", progress=False)
    with pytest.raises(ResumeError, match=r"training.learning_rate: 0.002 before, 0.01 now"):
        pretrain(tiny_recipe("training.max_steps=1", "training.learning_rate=0.01"), out, resume=True, progress=False)
    pretrain(tiny_recipe("training.max_steps=1", "training.log_every=7"), out, resume=True, progress=False)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("method=devid", 'method: "devid" is unknown; did you mean "devide"?'),
        ("options={unmentionned: ignore}", "options.unmentionned is not a key; did you mean options.unmentioned?"),
        ("findings=[pleural_efusion]", "pleural_effusion"),
        ("findings=phantom51", "phantom15"),
        ("image_encoder.name=resnet51", "resnet50"),
        ("knowledge.book=defaults", "default"),
        ("knowledge.facets=[definitions]", 'did you mean "definition"'),
        ("data.store=nowhere", "no store at nowhere"),
        ("data.train_split=trian", "train"),
        ("data.views=[LATERAL]", "no rows"),
        ("training.devices=3", "data.batch_size: 8 images cannot be shared equally by 3 devices"),
        ("data.validate_split=test training.patience=1", "training.patience needs validation images"),
        ("findings=[edema]", "learns from labels of the recipe's findings, and none of the 32 images"),
        ("training.unmentioned=ignore findings=[pneumothorax,edema] data.validate_images=1", "training.metric=auroc"),
    ],
)
def test_recipes_that_do_not_fit_are_refused(
    tiny_recipe: MakeRecipe, tmp_path: Path, override: str, message: str
) -> None:
    parts = [override] if "{" in override else override.split()
    with pytest.raises(RecipeError) as caught:
        pretrain(tiny_recipe(*parts), tmp_path / "run", progress=False)
    assert message in str(caught.value)
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_without_a_validation_split_the_last_model_is_kept(tiny_recipe: MakeRecipe, tmp_path: Path) -> None:
    out = pretrain(tiny_recipe("data.validate_split=test", "training.epochs=1"), tmp_path / "run", progress=False)
    assert load_model(out).card["step"] == 4
    assert not (out / "last").exists()


def test_methods_need_what_they_learn_from(
    tiny_recipe: MakeRecipe, tiny_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = Store(tiny_store.path)
    silent.table["report"] = -1
    monkeypatch.setattr(Store, "open", lambda path: silent)
    with pytest.raises(RecipeError, match="learns from reports"):
        pretrain(tiny_recipe("method=clip"), tmp_path / "run", progress=False)


def test_a_tiny_phantom_from_files_to_scores(tiny_recipe: MakeRecipe, tmp_path: Path) -> None:
    generate(tmp_path / "archive", patients=8, seed=0, size=64, workers=1)
    store = prepare(
        index_data_set("mimic_cxr", tmp_path / "archive"), tmp_path / "store", Preprocess(size=64), workers=0
    )
    recipe = tiny_recipe(
        f"data.store={store.path}",
        "data.validate_split=train",  # the split is by patient, and eight are too few to have every split
        "method=devide",
        "options={decoder_width: 32, dim: 16}",
        "findings=phantom15",
        "training.max_steps=3",
        "training.precision=bf16",
        "training.log_every=1",
    )
    model = load_model(pretrain(recipe, tmp_path / "run", progress=False), device="cpu")
    assert model.generated
    images = store.preprocess.normalize(torch.from_numpy(store.images([0, 1])))
    with torch.no_grad():
        scores = model.method.score(images, model.findings)
    assert scores.shape == (2, 15)
    assert ((scores > 0) & (scores < 1)).all()
    assert {"report", "knowledge", "patch", "bce"} <= lines(tmp_path / "run", "train")[0].keys()
