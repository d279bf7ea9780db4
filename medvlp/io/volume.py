"""`read_volume`: CT and other volumes from a DICOM series, an enhanced object or NIfTI, in Hounsfield units and RAS."""

from __future__ import annotations

from pathlib import Path

from medvlp.io.errors import Unreadable
from medvlp.io.guarded import guarded
from medvlp.io.image import Image


def read_volume(
    path: str | Path, *, frame: int | None = None, series: int | None = None, isolated: bool = False
) -> Image:
    """Read a volume.

    DICOM: slices are grouped by series and geometry, sorted along their normal and rescaled one by one (PS3.3 C.11.1).
    Duplicates are dropped, missing slices and uneven distances interpolated, gantry tilt straightened, and each is said
    in `Image.steps`. NIfTI: scaled by its own slope and intercept, and by nothing else.

    Args:
        path: a folder of DICOM files, one DICOM file, `.nii` or `.nii.gz`.
        frame: time point of a NIfTI file with four dimensions, from 0; None reads the first.
        series: which volume of a folder that has several, from 0, the largest first; None reads the largest.
        isolated: decode in a process of its own, so that a decoder that crashes or hangs is only a `ReadError`.

    Returns:
        Image with `array` float32 `[D, H, W]`, axes to the head, the front and the right (`SAR`: what RAS is when the
        slowest axis comes first), `spacing` and `affine`. Oblique volumes keep their grid; the affine says how it lies.

    Raises:
        ReadError: a file is damaged, or the slices make no volume; `reason` says why.
    """
    with guarded(path) as place:
        if place.is_dir():
            from medvlp.io.dicom_volume import read_dicom_volume

            files = sorted(file for file in place.rglob("*") if file.is_file() and not file.name.startswith("."))
            if not files:
                raise Unreadable("the folder has no files")
            return read_dicom_volume(files, series, isolated)
        if place.name.lower().endswith((".nii", ".nii.gz")):
            from medvlp.io.nifti import read_nifti

            return read_nifti(place, frame)
        from medvlp.io.dicom_volume import read_dicom_volume

        return read_dicom_volume([place], series, isolated)
