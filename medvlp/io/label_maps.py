"""Label maps in NIfTI files and pictures, read and written: whole numbers that name regions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from medvlp.io.errors import FormatError, read_bytes
from medvlp.io.nifti import read_nifti
from medvlp.io.pixel_layout import MAX_FRAME_SAMPLES
from medvlp.io.segmentation import Segmentation

_CANONICAL = [2, 1, 0]  # [D, H, W] to NIfTI's x, y, z


def read_nifti_labels(path: Path, names: Mapping[int, str]) -> Segmentation:
    """A NIfTI label map, its axes turned as `read_volume` turns those of the image."""
    image = read_nifti(path, None)
    labels = _labels(image.array)
    return Segmentation(
        labels[None], _named(labels, names), image.spacing, image.orientation, image.affine, "nifti", image.steps
    )


def read_picture_labels(path: Path, names: Mapping[int, str]) -> Segmentation:
    """A picture whose gray values are labels; one with black and another value alone is one region, 1."""
    data = read_bytes(path)
    from io import BytesIO

    try:
        picture = Picture.open(BytesIO(data))
        if picture.width * picture.height > MAX_FRAME_SAMPLES:
            raise FormatError("the picture is beyond the limit")
        values = np.asarray(picture if picture.mode in ("L", "P", "I;16", "I", "1") else picture.convert("L"))
    except FormatError:
        raise
    except Exception as error:  # Pillow's plugins raise whatever a damaged file makes them meet
        raise FormatError(f"the picture is damaged or none ({type(error).__name__})") from None
    present = np.unique(values)
    labels = (values > 0).astype(np.uint16) if len(present) <= 2 and not names else _labels(values)
    return Segmentation(labels[None], _named(labels, names), source=(picture.format or "picture").lower())


def write_labels(found: Segmentation, path: str | Path) -> None:
    """Write regions as `.nii`, `.nii.gz` (volumes) or `.png` (radiographs); values stay as they are.

    Raises:
        ValueError: regions overlap, which one label map cannot hold, or the suffix does not fit the dimensions.
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
    labels = np.rint(values)
    if labels.min() < 0 or labels.max() > 65535 or np.abs(labels - values).max() > 1e-3:
        raise FormatError("the values are no labels: whole numbers from 0 to 65,535 are")
    return labels.astype(np.uint16)


def _named(labels: NDArray[np.uint16], names: Mapping[int, str]) -> dict[int, str]:
    present = np.flatnonzero(np.bincount(labels.reshape(-1)))
    return {int(value): names.get(int(value), str(value)) for value in present if value}
