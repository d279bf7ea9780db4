"""A mask's cell of the manifest -> a bool array on the grid of its image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medvlp.io.errors import ReadError
from medvlp.io.image import Image
from medvlp.io.readers import read_segmentation
from medvlp.io.run_length import decode_siim
from medvlp.io.segmentation import Segmentation


def read_mask(cell: str, image: Image) -> NDArray[np.bool_]:
    """Read the mask that a cell of `mask_<name>` names.

    Cells: `lungs.png`, `seg.nii.gz`, `seg.dcm` (DICOM SEG, RTSTRUCT): all regions of the file; `labels.png#2` and
    `seg.dcm#Lung`: this region; `truth.npz#heart`: this array; `rle:5 3 10 2;40 4`: run lengths as SIIM-ACR writes
    them, `;` between the parts of a mask. Where the regions are colors: `mask.png##ff0000`. A region that the file
    does not hold is an error, except in a file without any region.

    Args:
        cell: the manifest's cell, not empty.
        image: the image that the mask belongs to.

    Raises:
        ReadError: no such file or region, or a mask that does not lie on the image.
    """
    shape = image.array.shape
    if cell.startswith("rle:"):
        try:
            parts = [decode_siim(part, shape) for part in cell.removeprefix("rle:").split(";")]
        except ValueError as error:
            raise ReadError("run lengths", str(error)) from None
        return np.any(parts, axis=0)
    path, _, region = cell.partition("#")
    if path.endswith(".npz"):
        return _array(Path(path), region, shape)
    found = read_segmentation(path, like=image)
    if not region:
        return np.asarray(found.layers.any(axis=0))
    if not found.names:  # nothing at all was drawn: every region is empty
        return np.zeros(shape, np.bool_)
    try:
        return found.mask(int(region) if region.isdigit() and not _by_color(found) else region)
    except KeyError as error:
        raise ReadError(path, str(error.args[0])) from None


def _by_color(found: Segmentation) -> bool:
    """Its regions are colors, so that a number names none of them."""
    return any(name.startswith("#") for name in found.names.values())


def _array(path: Path, name: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            array = np.asarray(arrays[name] != 0)
    except (OSError, ValueError, KeyError) as error:
        raise ReadError(path, f"holds no readable array {name!r} ({type(error).__name__}); correct the cell") from None
    if array.shape != shape:
        raise ReadError(path, f"the mask is {array.shape} and its image {shape}; they must have one shape")
    return array
