"""Label maps in NIfTI files and pictures, read and written: whole numbers that name regions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from medvlp.io.errors import FormatError, read_bytes
from medvlp.io.nifti import read_nifti
from medvlp.io.picture import DecodedPicture, decode_picture
from medvlp.io.segmentation import Segmentation

_MAX_COLORS = 256
_MAX_BETWEEN = 0.05  # of the pixels: what the edges of a mask may take
_DIMMEST_MASK = 64
_CANONICAL = [2, 1, 0]  # [D, H, W] to NIfTI's x, y, z


def read_nifti_labels(path: Path, names: Mapping[int, str]) -> Segmentation:
    """A NIfTI label map, its axes turned as `read_volume` turns those of the image."""
    image = read_nifti(path, None, labels=True)
    labels = _labels(image.array)
    return Segmentation(
        labels[None], _named(labels, names), image.spacing, image.orientation, image.affine, "nifti", image.steps
    )


def read_picture_labels(path: Path, names: Mapping[int, str]) -> Segmentation:
    """A picture whose gray values or palette indices are labels.

    One with black and another value alone is one region, 1. Colors are regions named by their code, such as `#ff0000`.
    A lossy picture (JPEG) can hold one region, cut at half its brightness.

    Raises:
        FormatError: no picture, or one that holds no labels: a lossy one of several levels, a photograph.
    """
    picture = decode_picture(read_bytes(path), indices=True)
    if picture.pages > 1:
        picture = replace(picture, steps=(f"page 0 of {picture.pages}", *picture.steps))
    values = picture.values
    if values.ndim == 3:
        values = np.where(values[..., -1:] > 0, values[..., :-1], 0) if values.shape[2] in (2, 4) else values
        equal = all(np.array_equal(values[..., 0], values[..., channel]) for channel in range(1, values.shape[2]))
        if not (equal or picture.lossy):
            return _colors(values, picture)
        values = values[..., 0] if equal else values.max(axis=2)
    if picture.lossy:
        labels = _from_lossy(values, names)
    elif len(np.unique(values)) <= 2 and not names:
        labels = (values > 0).astype(np.uint16)
    else:
        labels = _labels(values)
    labels = np.ascontiguousarray(labels)
    return Segmentation(labels[None], _named(labels, names), source=picture.kind, notes=picture.steps)


def _from_lossy(values: NDArray[Any], names: Mapping[int, str]) -> NDArray[np.uint16]:
    """One region out of a picture whose codec blurred its edges: what is brighter than half."""
    bright = int(values.max())
    between = float(np.mean((values > 0.25 * bright) & (values < 0.75 * bright)))
    if len(names) > 1 or between > _MAX_BETWEEN or 0 < bright < _DIMMEST_MASK:
        raise FormatError("a lossy picture (JPEG) of several levels holds no labels: save the mask as PNG")
    value = next(iter(names), 1)
    return np.where(values > bright // 2, value, 0).astype(np.uint16)


def _colors(values: NDArray[Any], picture: DecodedPicture) -> Segmentation:
    """Each color but black is a region."""
    if values.dtype.itemsize > 1:
        raise FormatError("a mask of 16-bit colors: save it with one gray value or palette index a region")
    codes = values.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    colors = np.unique(codes)
    if len(colors) > _MAX_COLORS:
        raise FormatError(f"{len(colors):,} colors are no regions: a photograph, or a mask with blurred edges")
    colors = colors[colors > 0]
    labels = np.where(codes > 0, np.searchsorted(colors, codes) + 1, 0).astype(np.uint16)
    names = {number: f"#{int(color):06x}" for number, color in enumerate(colors, 1)}
    return Segmentation(labels[None], names, source=picture.kind, notes=picture.steps)


def write_labels(found: Segmentation, path: str | Path) -> None:
    """Write regions as `.nii`, `.nii.gz` (volumes) or `.png` (radiographs); values stay as they are.

    Raises:
        ValueError: regions overlap, which one label map cannot hold, or the suffix does not fit the dimensions.

    Examples:
        >>> import tempfile
        >>> labels = Segmentation(np.array([[[0, 2]]], np.uint16), {2: "lung"})
        >>> file = Path(tempfile.mkdtemp()) / "labels.png"
        >>> write_labels(labels, file)
        >>> read_picture_labels(file, {2: "lung"}).names
        {2: 'lung'}
    """
    path = Path(path)
    if len(found.layers) > 1:
        raise ValueError(f"{len(found.layers)} layers overlap; a label map holds one: write a DICOM SEG, or one by one")
    labels = found.layers[0]
    small = labels.astype(np.uint8) if labels.max(initial=0) < 256 else labels
    if path.name.lower().endswith((".nii", ".nii.gz")) and labels.ndim == 3:
        import nibabel

        affine = np.diag([*(found.spacing or (1.0, 1.0, 1.0))[::-1], 1.0])
        if found.affine is not None:
            affine = found.affine[:, [*_CANONICAL, 3]]
        written = nibabel.Nifti1Image(small.transpose(_CANONICAL), affine)
        if found.affine is None:
            written.header["sform_code"] = written.header["qform_code"] = 0
        nibabel.save(written, path)
    elif path.suffix.lower() == ".png" and labels.ndim == 2:
        Picture.fromarray(small).save(path)
    else:
        raise ValueError(f"{path.name}: write volumes as .nii or .nii.gz and radiographs as .png")


def _labels(values: NDArray[Any]) -> NDArray[np.uint16]:
    """Whole numbers from 0 to 65,535."""
    labels = np.rint(values) if values.dtype.kind == "f" else values
    if labels.min() < 0 or labels.max() > 65535 or np.abs(labels - values).max() > 1e-3:
        raise FormatError("the values are no labels: whole numbers from 0 to 65,535 are")
    return labels.astype(np.uint16)


def _named(labels: NDArray[np.uint16], names: Mapping[int, str]) -> dict[int, str]:
    present = np.flatnonzero(np.bincount(labels.reshape(-1)))
    return {int(value): names.get(int(value), str(value)) for value in present if value}
