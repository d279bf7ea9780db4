"""Run-length masks as SIIM-ACR Pneumothorax writes them, and the boxes of the RSNA Pneumonia Challenge.

SIIM: pairs of numbers, down the columns from the top left; the first of a pair counts background pixels since the end
of the run before, the second the pixels of the run. `-1` is an empty mask. RSNA: left, top, width, height in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray


def decode_siim(text: str, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask `[H, W]` from one run-length string; the masks of an image with several rows are joined with `|`.

    Raises:
        ValueError: no pairs of whole numbers, or runs past the end of the image.

    Examples:
        >>> decode_siim("1 2", (3, 2)).astype(int).tolist()
        [[0, 0], [1, 0], [1, 0]]
    """
    numbers = np.array(text.split() or ["-1"], dtype=np.str_)
    try:
        runs = numbers.astype(np.int64)
    except ValueError:
        raise ValueError("a run-length mask holds whole numbers alone") from None
    if runs.tolist() == [-1]:
        return np.zeros(shape, np.bool_)
    if len(runs) % 2 or runs.min() < 0:
        raise ValueError("a run-length mask holds pairs of numbers that are not negative")
    edges = np.cumsum(runs)
    if edges[-1] > shape[0] * shape[1]:
        raise ValueError(
            f"runs end at pixel {edges[-1]:,} of {shape[0] * shape[1]:,}: the mask is of another image size"
        )
    turns = np.zeros(shape[0] * shape[1] + 1, np.int8)
    np.add.at(turns, edges[0::2], 1)
    np.add.at(turns, edges[1::2], -1)
    return np.cumsum(turns[:-1]).astype(np.bool_).reshape(shape[::-1]).T


def encode_siim(mask: NDArray[np.bool_]) -> str:
    """The run-length string of a mask `[H, W]`; `-1` where it is empty.

    Examples:
        >>> encode_siim(np.array([[False, False], [True, False], [True, False]]))
        '1 2'
    """
    flat = np.concatenate([[False], mask.T.reshape(-1).astype(np.bool_), [False]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    if not edges.size:
        return "-1"
    return " ".join(map(str, np.diff(edges, prepend=0)))


def boxes_to_mask(boxes: Iterable[Sequence[float]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels `[H, W]` whose center lies in any box `(left, top, width, height)`; boxes of NaN (no finding) are empty.

    Raises:
        ValueError: a box without four numbers or with a negative size.

    Examples:
        >>> boxes_to_mask([(1, 0, 2, 1)], (2, 4)).astype(int).tolist()
        [[0, 1, 1, 0], [0, 0, 0, 0]]
    """
    mask = np.zeros(shape, np.bool_)
    for box in boxes:
        left, top, width, height = (float(value) for value in box)
        if np.isnan([left, top, width, height]).all():
            continue
        if not (width >= 0 and height >= 0):
            raise ValueError(f"a box is left, top, width, height; got {tuple(box)}")
        rows = slice(max(0, int(np.ceil(top - 0.5))), max(0, int(np.ceil(top + height - 0.5))))
        columns = slice(max(0, int(np.ceil(left - 0.5))), max(0, int(np.ceil(left + width - 0.5))))
        mask[rows, columns] = True
    return mask
