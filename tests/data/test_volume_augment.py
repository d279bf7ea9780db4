"""What training does to CT volumes: shifts by whole voxels, a drift of the scale, and never a flip."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medvlp.data import VolumeAugment
from medvlp.data.volume_augment import VolumeDraw

STILL = {"shift": 0.0, "hounsfield": 0.0, "contrast": 0.0}


def draw(count: int, **strengths: float) -> VolumeDraw:
    return VolumeAugment(**{**STILL, **strengths}).draw(count, np.random.default_rng(0))


def test_nothing_is_the_identity() -> None:
    volumes = np.random.default_rng(0).integers(-1024, 3072, (2, 6, 7, 8)).astype(np.int16)
    made = draw(2).images(volumes)
    assert made.dtype == torch.float32
    np.testing.assert_array_equal(made.numpy(), volumes)


def test_shift_against_a_slow_loop() -> None:
    volumes = np.random.default_rng(0).integers(-1024, 3072, (6, 10, 12, 14)).astype(np.int16)
    drawn = draw(6, shift=0.4)
    made = drawn.images(volumes).numpy()
    expected = np.full(volumes.shape, -1024.0)
    for b in range(6):
        step = [round(float(s) * n) for s, n in zip(drawn.shift[b], volumes.shape[1:], strict=True)]
        for place in np.ndindex(*volumes.shape[1:]):
            source = tuple(p - s for p, s in zip(place, step, strict=True))
            if all(0 <= p < n for p, n in zip(source, volumes.shape[1:], strict=True)):
                expected[(b, *place)] = volumes[(b, *source)]
    np.testing.assert_array_equal(made, expected)
    assert len({tuple(np.rint(s * 12)) for s in drawn.shift}) == 6


def test_masks_move_with_their_volumes() -> None:
    volumes = np.random.default_rng(0).choice([-1024, 500], (4, 9, 9, 9)).astype(np.int16)
    drawn = draw(4, shift=0.3)
    masks = drawn.masks((volumes > 0).astype(np.uint8)[:, None])
    assert masks.dtype == torch.uint8
    assert torch.equal(masks[:, 0] > 0, drawn.images(volumes) > 0)


def test_scale_drifts_as_far_as_it_says() -> None:
    volumes = np.stack([np.zeros((2, 2, 2), np.int16)] * 512)
    offsets = draw(512, hounsfield=30).images(volumes)[:, 0, 0, 0]
    assert float(offsets.abs().max()) == pytest.approx(30, abs=1)
    assert abs(float(offsets.mean())) < 3
    gains = draw(512, contrast=0.05).images(volumes + 1000)[:, 0, 0, 0] / 1000
    assert float((gains - 1).abs().max()) == pytest.approx(0.05, abs=0.002)
    assert not draw(4, contrast=0.05).images(volumes[:4]).any()  # water stays water


def test_left_stays_left() -> None:
    volumes = np.full((32, 8, 8, 16), -1024, np.int16)
    volumes[..., 9:] = 1000
    made = VolumeAugment().draw(32, np.random.default_rng(0)).images(volumes)
    assert (made[..., 12].mean((1, 2)) > made[..., 3].mean((1, 2)) + 1000).all()


def test_some_of_a_draw() -> None:
    volumes = np.random.default_rng(0).integers(-1024, 3072, (4, 6, 6, 6)).astype(np.int16)
    drawn = VolumeAugment().draw(4, np.random.default_rng(1))
    assert torch.equal(drawn[1:3].images(volumes[1:3]), drawn.images(volumes)[1:3])
