"""Windows, resampling and the rescale that happens once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medvlp.io import Image, resample, to_hounsfield, window


def volume(array: np.ndarray, spacing: tuple[float, float, float] = (2.0, 1.0, 1.0)) -> Image:
    affine = np.eye(4)[:, [2, 1, 0, 3]] * [*spacing, 1]
    return Image(array.astype(np.float32), spacing, "SAR", "CT", affine=affine)


def test_a_lung_window_maps_its_ends_to_black_and_white() -> None:
    shown = window(volume(np.array([[[-2000, -1350, -600, 150, 900]]])), center=-600, width=1500)
    np.testing.assert_allclose(shown.array, [[[0, 0, 0.5, 1, 1]]], atol=1e-6)
    assert shown.steps == ("window -600/1500 LINEAR_EXACT",)


@pytest.mark.parametrize(("width", "function"), [(0.5, "LINEAR"), (0, "LINEAR_EXACT"), (-1, "SIGMOID"), (10, "CUBIC")])
def test_windows_that_the_standard_forbids_are_errors(width: float, function: str) -> None:
    with pytest.raises(ValueError, match=r"window needs a width|VOI LUT function"):
        window(volume(np.zeros((1, 1, 1))), 0, width, function)


def test_resampling_keeps_a_plane_a_plane_and_its_place() -> None:
    d, h, w = np.meshgrid(np.arange(8), np.arange(20), np.arange(30), indexing="ij")
    image = volume(5.0 * d * 2 + 3 * h - 2 * w)
    finer = resample(image, (1.0, 0.5, 2.0))
    assert finer.array.shape == (16, 40, 15)
    assert finer.affine is not None
    inner = np.stack(np.meshgrid(*(np.arange(3, n - 3) for n in finer.array.shape), indexing="ij"), axis=-1).reshape(
        -1, 3
    )
    places = inner @ finer.affine[:3, :3].T + finer.affine[:3, 3]  # RAS: x along w, y along h, z along d
    expected = 5 * places[:, 2] + 3 * places[:, 1] - 2 * places[:, 0]
    np.testing.assert_allclose(finer.array[tuple(inner.T)], expected, atol=1e-3)


def test_a_thin_wire_survives_coarse_voxels() -> None:
    array = np.zeros((4, 64, 64))
    array[:, 13, :] = 800
    coarse = resample(volume(array), (2.0, 8.0, 8.0))
    assert coarse.array.max(axis=1).min() > 50
    assert coarse.array.mean() == pytest.approx(array.mean(), rel=0.2)


def test_labels_take_the_nearest_voxel_and_mix_nothing() -> None:
    array = np.random.default_rng(0).choice([0, 3, 117], (6, 30, 31))
    assert set(np.unique(resample(volume(array), (3.0, 1.7, 0.6), labels=True).array)) <= {0, 3, 117}


def test_a_shape_cuts_and_pads_around_the_center() -> None:
    array = np.random.default_rng(0).normal(size=(6, 9, 10))
    image = volume(array)
    spacing = image.spacing
    assert spacing is not None
    cut = resample(image, spacing, shape=(8, 5, 10), fill=-7)
    np.testing.assert_allclose(cut.array[1:7], array[:, 2:7], atol=1e-6)
    assert (cut.array[[0, 7]] == -7).all()
    whole, part = resample(image, (1.3, 1.7, 0.9)), resample(image, (1.3, 1.7, 0.9), shape=(5, 5, 5))
    assert whole.affine is not None
    assert part.affine is not None
    middle = [(np.array(one.array.shape) - 1) / 2 @ one.affine[:3, :3].T + one.affine[:3, 3] for one in (whole, part)]
    np.testing.assert_allclose(middle[0], middle[1])  # millimeters
    names = resample(volume(array > 0), spacing, labels=True, shape=(8, 5, 10), fill=3)
    assert set(np.unique(names.array)) == {0, 1, 3}


def test_resampling_without_a_spacing_or_to_none_is_an_error() -> None:
    image = volume(np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match="does not know its spacing"):
        resample(replace(image, spacing=None), (1, 1, 1))
    with pytest.raises(ValueError, match="3 positive values"):
        resample(image, (1, 1))
    with pytest.raises(ValueError, match="shape needs 3 positive numbers"):
        resample(image, (1, 1, 1), shape=(4, 4))


def test_a_volume_is_scaled_once() -> None:
    raw = volume(np.array([[[0, 1024, 4095]]]))
    scaled = to_hounsfield(raw, 1, -1024)
    assert scaled.array.tolist() == [[[-1024, 0, 3071]]]
    with pytest.raises(ValueError, match="scaling it again"):
        to_hounsfield(scaled, 1, -1024)
    release_2 = volume(np.array([[[-1024, 0, 3071]]]))
    with pytest.raises(ValueError, match="in Hounsfield units already"):
        to_hounsfield(release_2, 1, -1024)
