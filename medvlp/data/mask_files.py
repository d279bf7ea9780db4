"""A mask's cell of the manifest -> a bool array: a PNG, a NIfTI file, an npz member, or run lengths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medvlp.io.errors import ReadError


def read_mask(cell: str, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Read the mask that a cell of `mask_<name>` names.

    Cells: `lungs.png`, `seg.nii.gz` (non-zero is in), `labels.png#2` (this value is in), `truth.npz#heart` (that
    array), `rle:5 3 10 2;40 4` (run lengths, see `runs_to_mask`).

    Args:
        cell: the manifest's cell, not empty.
        shape: of the image that the mask belongs to, `[H, W]`.

    Raises:
        ReadError: no such file or member, or another shape than the image.
    """
    if cell.startswith("rle:"):
        return runs_to_mask(cell.removeprefix("rle:"), shape)
    path, _, member = cell.partition("#")
    try:
        array = _array(Path(path), member)
    except (OSError, ValueError, KeyError) as error:
        raise ReadError(
            path, f"the mask cannot be read ({type(error).__name__}); correct the path or empty the cell"
        ) from None
    if array.shape != shape:
        raise ReadError(path, f"the mask is {array.shape} and its image {shape}; they must have one shape")
    return array


def _array(path: Path, member: str) -> NDArray[np.bool_]:
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return arrays[member] != 0
    if path.name.endswith((".nii", ".nii.gz")):
        import nibabel

        values = np.squeeze(np.asarray(nibabel.load(path).dataobj)).T  # type: ignore[attr-defined]
    else:
        from PIL import Image

        with Image.open(path) as picture:
            values = np.asarray(picture if picture.mode in ("1", "L", "P", "I", "I;16") else picture.convert("L"))
    return values == int(member) if member else values != 0


def runs_to_mask(runs: str, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Run lengths as SIIM-ACR writes them: `start length start length ...`, `;` between the parts of a mask.

    A start counts from the end of the run before it (the first from 0), and pixels go down the columns.

    Raises:
        ReadError: not pairs of numbers, or runs that leave the image.
    """
    flat = np.zeros(shape[0] * shape[1], bool)
    for part in runs.split(";"):
        numbers = part.split()
        if len(numbers) % 2 or not all(n.isdigit() for n in numbers):
            raise ReadError("run lengths", "the run lengths of a mask are not pairs of start and length")
        gaps, lengths = np.array(numbers, np.int64).reshape(-1, 2).T
        ends = np.cumsum(gaps + lengths)
        if len(ends) and ends[-1] > flat.size:
            raise ReadError("run lengths", f"the run lengths of a mask leave its image of {shape}")
        for start, end in zip(ends - lengths, ends, strict=True):
            flat[start:end] = True
    return flat.reshape(shape[::-1]).T
