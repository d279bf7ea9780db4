"""NIfTI against nibabel's own reading, and the ways in which other readers fail without a word."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from medvlp.io import ReadError, read_volume

AXIAL = np.diag([-0.7, -0.7, 2.5, 1.0])
AXIAL[:3, 3] = [100, 80, -50]
VALUES = (np.arange(2 * 3 * 4).reshape(2, 3, 4) - 10).astype(np.int16)


def save(
    path: Path, values: np.ndarray, affine: np.ndarray | None = AXIAL, kind: Any = nib.Nifti1Image, **fields: Any
) -> Path:
    image = kind(values, affine)
    for name, value in fields.items():
        image.header[name] = value
    nib.save(image, path)
    return path


def canonical(path: Path) -> np.ndarray:
    """nibabel's closest canonical array with the last axis first, as `read_volume` returns it."""
    return np.asarray(nib.as_closest_canonical(nib.load(path)).get_fdata(), np.float32).transpose(2, 1, 0)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_values_and_geometry_equal_nibabel_s(tmp_path: Path, kind: Any, name: str) -> None:
    path = save(tmp_path / name, VALUES, kind=kind)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, canonical(path))
    assert volume.spacing == pytest.approx((2.5, 0.7, 0.7))
    assert (volume.orientation, volume.source) == ("SAR", "nifti")
    expected = nib.as_closest_canonical(nib.load(path)).affine
    assert volume.affine is not None
    np.testing.assert_allclose(volume.affine[:, [2, 1, 0, 3]], expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "i8", "f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_number_type_in_both_byte_orders(tmp_path: Path, kind: str, order: str) -> None:
    values = VALUES.clip(0) if kind[0] == "u" else VALUES
    header = nib.Nifti1Header(endianness=order)
    header.set_data_dtype(np.dtype(kind))
    nib.save(nib.Nifti1Image(values.astype(kind), AXIAL, header), tmp_path / "x.nii")
    np.testing.assert_array_equal(read_volume(tmp_path / "x.nii").array, canonical(tmp_path / "x.nii"))


def test_slope_and_intercept_of_the_header_are_applied_once(tmp_path: Path) -> None:
    image = nib.Nifti1Image(VALUES, AXIAL)
    image.header.set_slope_inter(2.0, -1024.0)
    nib.save(image, tmp_path / "x.nii")
    raw = bytearray((tmp_path / "x.nii").read_bytes())
    raw[112:120] = np.array([2.0, -1024.0], "<f4").tobytes()
    raw[352:] = VALUES.tobytes(order="F")
    (tmp_path / "x.nii").write_bytes(raw)
    volume = read_volume(tmp_path / "x.nii")
    np.testing.assert_array_equal(volume.array, VALUES.transpose(2, 1, 0)[:, ::-1, ::-1] * 2.0 - 1024)
    assert "rescale 2 x stored -1024" in volume.steps


@pytest.mark.parametrize("slope", [0.0, np.nan])
def test_a_slope_that_means_none_is_none(tmp_path: Path, slope: float) -> None:
    path = save(tmp_path / "x.nii", VALUES, scl_slope=slope, scl_inter=7)
    raw = bytearray(path.read_bytes())
    raw[112:120] = np.array([slope, 7], "<f4").tobytes()
    path.write_bytes(raw)
    assert read_volume(path).array.min() == VALUES.min()


def test_sform_goes_before_qform_and_it_is_said_which(tmp_path: Path) -> None:
    image = nib.Nifti1Image(VALUES, AXIAL)
    image.header.set_qform(np.diag([1, 1, 1, 1]), 1)
    image.header.set_sform(AXIAL, 2)
    nib.save(image, tmp_path / "both.nii")
    both = read_volume(tmp_path / "both.nii")
    assert "geometry of the sform" in both.steps
    assert both.spacing == pytest.approx((2.5, 0.7, 0.7))
    image.header["sform_code"] = 0
    nib.save(image, tmp_path / "q.nii")
    raw = bytearray((tmp_path / "q.nii").read_bytes())
    raw[252:256] = b"\1\0\0\0"
    (tmp_path / "q.nii").write_bytes(raw)
    assert "geometry of the qform" in read_volume(tmp_path / "q.nii").steps


def test_without_any_orientation_none_is_claimed(tmp_path: Path) -> None:
    path = save(tmp_path / "x.nii", VALUES)
    raw = bytearray(path.read_bytes())
    raw[252:256] = bytes(4)
    path.write_bytes(raw)
    volume = read_volume(path)
    assert (volume.orientation, volume.affine) == ("", None)
    assert volume.spacing == pytest.approx((2.5, 0.7, 0.7))
    np.testing.assert_array_equal(volume.array, VALUES.transpose(2, 1, 0))


def test_a_sheared_volume_is_straightened_and_said(tmp_path: Path) -> None:
    sheared = AXIAL.copy()
    sheared[1, 2] = 1.0
    volume = read_volume(save(tmp_path / "x.nii", np.zeros((6, 6, 6), np.float32), sheared))
    assert any(step.startswith("shear of 21.80 degrees") for step in volume.steps)


def test_nan_takes_the_smallest_value_and_not_zero(tmp_path: Path) -> None:
    values = VALUES.astype(np.float32) * 100
    values[0, 0, 0], values[1, 2, 3] = np.nan, np.inf
    volume = read_volume(save(tmp_path / "x.nii", values))
    assert volume.array.min() == -900  # VALUES without its first, -10
    assert np.isfinite(volume.array).all()
    assert any("2 voxels that are not finite" in step for step in volume.steps)
    with pytest.raises(ReadError, match="no voxel has a finite value"):
        read_volume(save(tmp_path / "nan.nii", np.full((2, 2, 2), np.nan, np.float32)))


def test_four_dimensions_are_frames(tmp_path: Path) -> None:
    path = save(tmp_path / "x.nii.gz", np.stack([VALUES, VALUES + 50], axis=-1))
    assert (read_volume(path).frame, read_volume(path).array.min()) == (0, -10)
    assert read_volume(path, frame=1).array.min() == 40
    with pytest.raises(ReadError, match="frame 2 does not exist; the file has 2"):
        read_volume(path, frame=2)


def test_rgb_is_reduced_to_luma(tmp_path: Path) -> None:
    rgb = np.zeros((2, 2, 2), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    rgb["R"], rgb["B"] = 100, 200
    volume = read_volume(save(tmp_path / "x.nii", rgb))
    np.testing.assert_allclose(volume.array, 0.299 * 100 + 0.114 * 200, rtol=1e-5)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.99])
def test_a_gzip_stream_that_is_cut_short_is_refused_and_has_no_zero_tail(tmp_path: Path, share: float) -> None:
    noise = np.random.default_rng(0).integers(-1000, 1000, (20, 20, 20)).astype(np.int16)
    path = save(tmp_path / "x.nii.gz", noise)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])
    with pytest.raises(ReadError, match=r"cut short|not a NIfTI"):
        read_volume(path)


def test_a_flipped_bit_in_a_gzip_stream_is_found_by_its_checksum(tmp_path: Path) -> None:
    path = save(tmp_path / "x.nii.gz", np.random.default_rng(0).integers(0, 9, (20, 20, 20)).astype(np.uint8))
    raw = bytearray(path.read_bytes())
    raw[-8] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ReadError, match="checksum"):
        read_volume(path)


def test_several_gzip_members_are_one_file(tmp_path: Path) -> None:
    whole = save(tmp_path / "x.nii", VALUES).read_bytes()
    (tmp_path / "y.nii.gz").write_bytes(gzip.compress(whole[:360]) + gzip.compress(whole[360:]))
    np.testing.assert_array_equal(read_volume(tmp_path / "y.nii.gz").array, canonical(tmp_path / "x.nii"))


def test_a_plain_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "x.nii", VALUES)
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(ReadError, match="398 bytes and its header needs 400"):
        read_volume(path)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (42, np.array([32767, 32767, 32767], "<i2"), "beyond the limit"),
        (40, np.array([9], "<i2"), r"dim\[0\] is 9"),
        (42, np.array([-3], "<i2"), "dim is"),
        (70, np.array([32], "<i2"), "no gray value"),
        (70, np.array([999], "<i2"), "datatype 999"),
        (0, np.array([77], "<i4"), "not a NIfTI file"),
        (344, np.array([0], "<i4"), "magic"),
        (280, np.zeros(12, "<f4"), "maps voxels nowhere"),
    ],
)
def test_a_header_that_cannot_be_true_is_refused(tmp_path: Path, place: int, value: np.ndarray, words: str) -> None:
    path = save(tmp_path / "x.nii", VALUES)
    raw = bytearray(path.read_bytes())
    raw[place : place + value.nbytes] = value.tobytes()
    path.write_bytes(raw)
    with pytest.raises(ReadError, match=words):
        read_volume(path)
