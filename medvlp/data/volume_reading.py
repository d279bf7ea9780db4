"""The volume of a manifest's row: read by `medvlp.io`, or by its data set where the file does not say how it lies."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from medvlp.io.errors import ReadError
from medvlp.io.geometry import AXES
from medvlp.io.image import Image
from medvlp.io.readers import read_volume

_BELOW_WATER = -200.0  # HU: every scan has air in it or around it, and no scanner stores this unless it means HU
_OWN_READERS = {"rad_chest_ct": "medvlp.data.sources.rad_chest_ct"}  # sources with a `read_volume(path)` of their own


def read_row_volume(path: str, frame: int | None, source: str) -> Image:
    """Read a CT in Hounsfield units, axes to the head, the front and the right.

    Args:
        path: NIfTI file, DICOM file or folder, or a file of the data set's own form.
        frame: of NIfTI the time point; of DICOM files which of their volumes, the largest first; None: see
            `medvlp.io.read_volume`.
        source: name of the data set.

    Raises:
        ReadError: the volume cannot be read, or nobody can tell where its left is, how large it is, or that its values
            are Hounsfield units.
    """
    if source in _OWN_READERS:
        image: Image = import_module(_OWN_READERS[source]).read_volume(Path(path))
    elif path.lower().endswith((".nii", ".nii.gz")):
        image = read_volume(path, frame=frame)
    else:
        image = read_volume(path, series=frame)
    if image.orientation != AXES or image.spacing is None:
        raise ReadError(path, "the file does not say where left and right are (no sform, no qform): write its affine")
    if float(image.array.min()) > _BELOW_WATER:
        raise ReadError(
            path,
            f"no value below {_BELOW_WATER:g}: not Hounsfield units (MR, or a CT that its table must still rescale: "
            "medvlp.io.to_hounsfield)",
        )
    return image
