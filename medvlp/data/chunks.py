"""Chunks: a volume as small blocks, each in one piece on disk, so that a crop is read without the rest of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_EDGE = 32  # voxels; 64 KiB a block of int16, which is 16 pages of memory


def chunk_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Edges of the blocks: at most 32 voxels, and such that the blocks reach little or not at all beyond the volume."""
    return tuple(-(-n // -(-n // _EDGE)) for n in shape)


def chunked_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Of the array of blocks: `(nd, nh, nw, d, h, w)`, how many of them and their edges."""
    edges = chunk_shape(shape)
    return (*(-(-n // edge) for n, edge in zip(shape, edges, strict=True)), *edges)


def to_chunks(volume: NDArray[Any], fill: int) -> NDArray[Any]:
    """A volume `[D, H, W]` -> its blocks `[nd, nh, nw, d, h, w]`; what reaches beyond the volume is `fill`."""
    count, edges = np.array_split(chunked_shape(volume.shape), 2)
    whole = np.full(count * edges, fill, volume.dtype)
    whole[tuple(slice(n) for n in volume.shape)] = volume
    blocks = whole.reshape(np.stack([count, edges], axis=1).ravel())
    return np.ascontiguousarray(blocks.transpose(0, 2, 4, 1, 3, 5))


def from_chunks(blocks: NDArray[Any], shape: Sequence[int], crop: Sequence[slice] = ()) -> NDArray[Any]:
    """The inverse of `to_chunks`, of a crop. Where `blocks` is a memory map, only the blocks of the crop are read.

    Args:
        blocks: `[nd, nh, nw, d, h, w]`.
        shape: of the whole volume.
        crop: a slice for each of the first axes, without steps; the other axes are read whole.

    Raises:
        ValueError: more slices than axes, or a slice with a step.
    """
    if len(crop) > len(shape) or any(part.step not in (None, 1) for part in crop):
        raise ValueError(f"a crop is at most {len(shape)} slices without steps; got {tuple(crop)}")
    parts = [*crop, *[slice(None)] * (len(shape) - len(crop))]
    bounds = np.array([part.indices(n)[:2] for part, n in zip(parts, shape, strict=True)])
    edges = np.array(chunk_shape(shape))
    first, last = bounds[:, 0] // edges, -(-bounds[:, 1] // edges)
    touched = blocks[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]
    counts = np.array(touched.shape[: len(shape)])
    joined = touched.transpose(0, 3, 1, 4, 2, 5).reshape(counts * edges)
    inside = bounds - (first * edges)[:, None]
    return joined[tuple(slice(a, b) for a, b in inside)]
