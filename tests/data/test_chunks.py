"""Blocks of a volume: nothing is lost, and a crop reads the blocks that it touches and no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medvlp.data.volume_preprocess import chunk_shape, chunked_shape, from_chunks, to_chunks


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
