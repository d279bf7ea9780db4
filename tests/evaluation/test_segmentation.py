"""Dice of two structures, in another order than the store's masks, against a slow count of pixels."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from medvlp.data import Manifest, Preprocess, Store, prepare
from medvlp.evaluation import Protocol, compare_dice, evaluate_segmentation


@pytest.fixture(scope="module")
def two_masks(pictures: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Six test pictures of six patients and two data sets; a heart is drawn on all but the first."""
    folder = tmp_path_factory.mktemp("two_masks")
    heart = np.zeros((48, 64), np.uint8)
    heart[20:40, 40:60] = 255
    Image.fromarray(heart).save(folder / "heart.png")
    table = pictures.table.iloc[60:72:2].assign(source=["a"] * 4 + ["b"] * 2)
    table.insert(0, "mask_heart", ["", *[str(folder / "heart.png")] * 5])
    return prepare(Manifest(table, generated=True), folder / "store", Preprocess(size=64), workers=0)


def predicting(store: Store, lungs: slice, heart: slice) -> SimpleNamespace:
    """A model that says the same of every image: these columns are lungs, and these are heart."""
    each = torch.zeros(2, 64, 64)
    each[0, :, lungs], each[1, :, heart] = 0.9, 0.5  # 0.5 is in
    return SimpleNamespace(
        preprocess=store.preprocess,
        outputs=("lungs", "heart"),
        probabilities=lambda images: each.expand(len(images), -1, -1, -1),
        device=torch.device("cpu"),
        notice=None,
    )


def slow_dice(truth: np.ndarray, columns: slice) -> float:
    predicted = np.zeros((64, 64), bool)
    predicted[:, columns] = True
    return 2 * (predicted & (truth == 1)).sum() / (predicted.sum() + (truth == 1).sum())


def test_each_structure_is_held_against_its_own_mask(two_masks: Store) -> None:
    assert two_masks.mask_names == ("heart", "lungs")
    got = evaluate_segmentation(predicting(two_masks, slice(0, 60), slice(30, 64)), two_masks, Protocol(resamples=20))
    hearts, lungs = two_masks.masks(np.arange(6)).transpose(1, 0, 2, 3)
    of_lungs = [slow_dice(mask, slice(0, 60)) for mask in lungs]
    of_hearts = [slow_dice(mask, slice(30, 64)) for mask in hearts[1:]]
    assert got.images["lungs"].tolist() == pytest.approx(of_lungs)
    assert got.images["heart"].tolist() == pytest.approx([np.nan, *of_hearts], nan_ok=True)
    assert got.structures["lungs"]["dice"].value == pytest.approx(np.mean(of_lungs))
    assert got.structures["heart"]["dice"].value == pytest.approx(np.mean(of_hearts))
    assert (got.structures["lungs"]["dice"].n, got.structures["heart"]["dice"].n) == (6, 5)


def test_a_model_that_draws_nothing_has_dice_zero_where_something_is(two_masks: Store) -> None:
    got = evaluate_segmentation(predicting(two_masks, slice(0, 0), slice(0, 0)), two_masks, Protocol(resamples=5))
    assert got.structures["lungs"]["dice"].value == 0
    assert got.images["heart"].tolist() == pytest.approx([np.nan, 0, 0, 0, 0, 0], nan_ok=True)


def test_only_images_of_the_protocols_source_are_measured(two_masks: Store) -> None:
    model = predicting(two_masks, slice(0, 60), slice(30, 64))
    got = evaluate_segmentation(model, two_masks, Protocol(source="b", resamples=5))
    assert got.images["image_id"].tolist() == two_masks.table["image_id"].tolist()[4:]
    assert got.protocol["images"] == 2


def test_the_better_model_stands_above(two_masks: Store) -> None:
    better, worse = (
        evaluate_segmentation(predicting(two_masks, lungs, slice(30, 64)), two_masks, Protocol(resamples=20))
        for lungs in (slice(2, 58), slice(40, 64))
    )
    difference = compare_dice(better, worse)
    assert difference["lungs"].value == pytest.approx((better.images["lungs"] - worse.images["lungs"]).mean())
    assert difference["lungs"].low > 0
    assert difference["heart"].value == 0
