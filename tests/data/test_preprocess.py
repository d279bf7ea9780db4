"""The letterbox, its inverse, and its hash."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medvlp.data import Preprocess
from medvlp.io import Image


def picture(height: int, width: int) -> np.ndarray:
    down, across = np.mgrid[:height, :width].astype(np.float32)
    return ((down / height + across / width) / 2).astype(np.float32)


@pytest.mark.parametrize("shape", [(100, 60), (60, 100), (64, 64), (1000, 37)])
def test_aspect_is_kept_and_the_rest_is_black(shape: tuple[int, int]) -> None:
    preprocess = Preprocess(size=64)
    pixels = preprocess.apply(Image(np.ones(shape, np.float32)))
    top, left, h, w = preprocess.content(shape)
    assert max(h, w) == 64
    assert abs(h / w - shape[0] / shape[1]) < 0.6 * max(shape) / 64 / min(shape) * max(1, shape[0] / shape[1])
    assert (pixels[top : top + h, left : left + w] == 255).all()
    assert int((pixels > 0).sum()) == h * w


def test_reduction_is_the_mean_of_what_it_covers() -> None:
    random = np.random.default_rng(0).random((256, 256), np.float32)
    pixels = Preprocess(size=16).apply(Image(random)) / 255
    assert pixels.mean() == pytest.approx(random.mean(), abs=0.005)
    assert pixels.std() < 0.05  # antialiased: 256 values a pixel; picking one would give 0.29


def test_to_original_undoes_the_letterbox() -> None:
    preprocess, original = Preprocess(size=96), picture(150, 90)
    square = preprocess.apply(Image(original)) / 255
    assert np.abs(preprocess.to_original(square, (150, 90)) - original).max() < 0.03


def test_to_original_takes_coarse_maps() -> None:
    coarse = np.zeros((7, 7), np.float32)
    coarse[0] = 1
    full = Preprocess(size=224).to_original(coarse, (300, 300))
    assert full.shape == (300, 300)
    assert full[:20].min() > 0.9
    assert full[150:].max() == 0


def test_boxes_go_into_the_square() -> None:
    box = Preprocess(size=50).box_to_square(np.array([[0, 0, 60, 100], [30, 50, 60, 100]]), (100, 60))
    assert box.tolist() == [[10, 0, 40, 50], [25, 25, 40, 50]]


def test_mask_moves_with_the_image() -> None:
    mask = np.zeros((80, 40), bool)
    mask[:40] = True
    square = Preprocess(size=16).apply_mask(mask)
    assert square[:8, 4:12].all()
    assert square.sum() == 64


def test_normalize_takes_both_scales() -> None:
    preprocess, pixels = Preprocess(mean=0.4, std=0.2), torch.tensor([[[0, 255]]], dtype=torch.uint8)
    expected = torch.tensor([[[[-2.0, 3.0]]]])
    assert torch.allclose(preprocess.normalize(pixels), expected, atol=1e-6)
    assert torch.allclose(preprocess.normalize(pixels.float() / 255), expected, atol=1e-6)


def test_hash_and_json() -> None:
    a, b = Preprocess(), Preprocess(size=512)
    assert Preprocess.from_json(a.to_json()) == a
    assert a.hash == Preprocess().hash != b.hash
    assert a.differences(b) == ["size: 224 against 512"]
    with pytest.raises(ValueError, match="prepare the data again"):
        Preprocess.from_json(a.to_json().replace('"version": 1', '"version": 0'))


def test_volumes_are_refused() -> None:
    with pytest.raises(ValueError, match="two axes"):
        Preprocess().apply(Image(np.zeros((4, 4, 4), np.float32)))
