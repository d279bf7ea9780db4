"""The stored CT: where each voxel comes from, what its value is, and what a model sees of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from medvlp.data import Preprocess, VolumePreprocess
from medvlp.data.image_kind import preprocess_from_json
from medvlp.data.volume_preprocess import chunk_shape, chunked_shape, from_chunks, to_chunks
from medvlp.io import Image


def ct(array: np.ndarray, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Image:
    return Image(array.astype(np.float32), spacing, "SAR", "CT")


def slow(array: np.ndarray, spacing: tuple[float, ...], preprocess: VolumePreprocess) -> np.ndarray:
    """One voxel after another: a triangle as wide as the larger voxel, axis by axis, around the center of the scan."""
    values = array.astype(np.float64)
    for axis, (old, new, size) in enumerate(
        zip(spacing, preprocess.spacing, preprocess.shape, strict=True)  # type: ignore[arg-type]
    ):
        count = values.shape[axis]
        moved = np.moveaxis(values, axis, 0)
        out = np.full((size, *moved.shape[1:]), -1024.0)
        for i in range(size):
            center = (i - (size - 1) / 2) * new / old + (count - 1) / 2
            if not -0.5 <= center <= count - 0.5:
                continue
            weights = np.maximum(0, 1 - np.abs(np.arange(count) - center) / max(1, new / old))
            out[i] = np.tensordot(weights / weights.sum(), moved, 1)
        values = np.moveaxis(out, 0, axis)
    return np.clip(np.rint(values), -1024, 3071)


@pytest.mark.parametrize(
    ("size", "spacing"),
    [((9, 10, 12), (2.0, 2.0, 2.0)), ((8, 30, 11), (3.3, 0.7, 1.9)), ((40, 8, 8), (1.0, 5.0, 1.5))],
)
def test_values_against_a_slow_resampling(size: tuple[int, ...], spacing: tuple[float, ...]) -> None:
    array = np.random.default_rng(0).integers(-1100, 3200, (11, 17, 14))
    preprocess = VolumePreprocess(size, spacing)
    made = preprocess.apply(ct(array, (2.0, 1.1, 1.5)))
    assert (made.shape, made.dtype) == (size, np.int16)
    expected = slow(array, (2.0, 1.1, 1.5), preprocess)
    assert np.abs(made - expected).max() <= 1  # a value at one half may round either way
    assert (made != expected).mean() < 0.01


def test_the_same_grid_is_cut_and_padded_around_its_center() -> None:
    array = np.random.default_rng(0).integers(-1000, 1000, (8, 12, 9))
    made = VolumePreprocess((12, 8, 9), 1).apply(ct(array))
    np.testing.assert_array_equal(made[2:10], array[:, 2:10])
    assert (made[:2] == -1024).all()
    assert (made[10:] == -1024).all()


def test_values_beyond_the_scale_are_cut() -> None:
    array = np.zeros((8, 8, 8))
    array[0, 0, :2] = -3000, 9000
    made = VolumePreprocess(8, 1).apply(ct(array))
    assert made[0, 0, :3].tolist() == [-1024, 3071, 0]


def test_masks_lie_on_the_same_grid() -> None:
    array = np.full((16, 20, 24), -500.0)
    array[4:10, 6:14, 3:9] = 500
    preprocess = VolumePreprocess((10, 12, 30), (2, 2, 1))
    made, mask = preprocess.apply(ct(array)), preprocess.apply_mask(array > 0, (1.0, 1.0, 1.0))
    assert (mask.shape, mask.dtype) == ((10, 12, 30), np.uint8)
    np.testing.assert_array_equal(mask, made >= 0)


def test_a_volume_without_orientation_or_spacing_is_refused() -> None:
    array = np.zeros((8, 8, 8), np.float32)
    for image in (Image(array, (1, 1, 1)), Image(array, None, "SAR"), Image(array[0], (1, 1), "")):
        with pytest.raises(ValueError, match="needs axes SAR and a spacing"):
            VolumePreprocess(8, 1).apply(image)


def test_normalize_is_a_window_then_mean_and_deviation() -> None:
    values = torch.tensor([[[[-2000, -1000, 0, 500, 1000, 3000]]]])
    for images in (values.to(torch.int16), values.float()):
        seen = VolumePreprocess(8, 1, center=0, width=2000, mean=0.25, std=0.5).normalize(images)
        assert seen.shape == (1, 1, 1, 1, 6)
        assert torch.allclose(seen.flatten(), torch.tensor([-0.5, -0.5, 0.5, 1.0, 1.5, 1.5]))
    lung = VolumePreprocess(8, 1, center=-600, width=1500, mean=0, std=1).normalize(values)
    assert torch.allclose(lung.flatten()[1:3], torch.tensor([350 / 1500, 0.9]))


def test_normalize_leaves_its_input() -> None:
    images = torch.zeros(1, 8, 8, 8)
    VolumePreprocess(8, 1).normalize(images)
    assert not images.any()


def test_picture_is_seen_from_the_front() -> None:
    volume = np.full((8, 8, 8), -1000, np.int16)
    volume[7, :, 7] = 1000  # head, the patient's right
    picture = VolumePreprocess(8, 1).picture(volume)
    assert (picture.dtype, picture.shape) == (np.uint8, (8, 8))
    assert picture[0, 0] == 255
    assert picture.sum() == 255


def test_one_number_stands_for_three() -> None:
    assert VolumePreprocess(96, 3) == VolumePreprocess((96, 96, 96), (3, 3, 3)) == VolumePreprocess([96] * 3, [3.0] * 3)
    assert VolumePreprocess(96, 3).name == "96"
    assert VolumePreprocess((240, 480, 480), (1.5, 0.75, 0.75)).name == "240x480x480"


def test_hash_json_and_differences() -> None:
    a, b = VolumePreprocess(), VolumePreprocess(spacing=(1.5, 3, 3))
    assert preprocess_from_json(a.to_json()) == a
    assert preprocess_from_json(Preprocess().to_json()) == Preprocess()
    assert a.hash == VolumePreprocess().hash != b.hash
    assert a.differences(b) == ["spacing: (3.0, 3.0, 3.0) against (1.5, 3.0, 3.0)"]
    assert a.differences(Preprocess()) == ["kind: CT volume in HU against radiograph letterbox"]
    with pytest.raises(ValueError, match="prepare the data again"):
        preprocess_from_json(a.to_json().replace('"version": 1', '"version": 0'))
    with pytest.raises(ValueError, match="this is CT volume in HU"):
        Preprocess.from_json(a.to_json())


@pytest.mark.parametrize(
    "settings",
    [{"size": 4}, {"size": (8, 8)}, {"size": 1024}, {"spacing": 0}, {"width": 0}, {"std": 0}, {"spacing": (1, 1)}],
)
def test_impossible_settings(settings: dict) -> None:
    with pytest.raises(ValueError, match=r"VolumePreprocess needs|one number or three"):
        VolumePreprocess(**settings)


@pytest.mark.parametrize("shape", [(8, 8, 8), (32, 33, 96), (97, 31, 64), (100, 1, 45)])
def test_there_and_back(shape: tuple[int, int, int]) -> None:
    volume = np.random.default_rng(0).integers(-1024, 3072, shape).astype(np.int16)
    blocks = to_chunks(volume, -1024)
    assert blocks.shape == chunked_shape(shape)
    assert max(chunk_shape(shape)) <= 32
    assert blocks.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(from_chunks(blocks, shape), volume)
    random = np.random.default_rng(1)
    for _ in range(20):
        low, high = np.sort(random.integers(0, np.array([shape, shape]) + 1), axis=0)
        crop = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))[: random.integers(0, 4)]
        np.testing.assert_array_equal(from_chunks(blocks, shape, crop), volume[crop])


def test_blocks_reach_little_beyond_the_volume() -> None:
    assert chunked_shape((96, 240, 480)) == (3, 8, 15, 32, 30, 32)
    assert chunked_shape((100, 97, 33)) == (4, 4, 2, 25, 25, 17)


def test_what_reaches_beyond_the_volume_is_fill() -> None:
    blocks = to_chunks(np.zeros((1, 1, 33), np.int16), 7)
    assert (blocks == 7).sum() == 1
    assert blocks[0, 0, 1, 0, 0, 16] == 7


def test_negative_ends_and_open_ends() -> None:
    volume = np.arange(64 * 3).reshape(3, 1, 64).astype(np.int16)
    crop = np.s_[-1:, :, :-5]
    np.testing.assert_array_equal(from_chunks(to_chunks(volume, 0), volume.shape, crop), volume[crop])


def test_a_crop_reads_only_its_blocks(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).integers(-1024, 3072, (64, 64, 64)).astype(np.int16)
    np.save(tmp_path / "blocks.npy", to_chunks(volume, 0))
    expected = volume[40:50, 2:9, 33:60]
    start = (tmp_path / "blocks.npy").stat().st_size - volume.nbytes
    data = bytearray((tmp_path / "blocks.npy").read_bytes())
    block = 32**3 * 2
    wanted = start + (1 * 4 + 0 * 2 + 1) * block  # block (1, 0, 1), all that the crop touches
    kept = bytes(data[wanted : wanted + block])
    data[start:] = b"\xee" * (len(data) - start)
    data[wanted : wanted + block] = kept
    (tmp_path / "blocks.npy").write_bytes(data)
    mapped = np.load(tmp_path / "blocks.npy", mmap_mode="r")
    np.testing.assert_array_equal(from_chunks(mapped, volume.shape, np.s_[40:50, 2:9, 33:60]), expected)


def test_steps_and_too_many_slices_are_refused() -> None:
    blocks = to_chunks(np.zeros((8, 8, 8), np.int16), 0)
    with pytest.raises(ValueError, match="without steps"):
        from_chunks(blocks, (8, 8, 8), np.s_[::2, :])
    with pytest.raises(ValueError, match="at most 3 slices"):
        from_chunks(blocks, (8, 8, 8), (slice(1),) * 4)


@pytest.mark.parametrize("size", [24, 40, (16, 70, 33)])
def test_a_volume_is_stored_in_blocks_and_comes_back(size: int | tuple[int, int, int]) -> None:
    """Volumes with an edge above one block (32 voxels) are stored block by block."""
    preprocess = VolumePreprocess(size, 1.0)
    volume = np.random.default_rng(0).integers(-1000, 1000, preprocess.shape).astype(np.int16)
    packed = preprocess.pack(volume)
    assert packed.shape == preprocess.file_shape
    np.testing.assert_array_equal(preprocess.unpack(packed), volume)
