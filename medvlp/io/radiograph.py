"""`read_image`: a radiograph, or one frame or slice of anything else, as display values between 0 and 1, bone white."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from medvlp.io.colour import colour_values, palette_values
from medvlp.io.dicom_file import looks_like_dicom, parse_dicom, read_bytes
from medvlp.io.errors import ReadError, Unreadable
from medvlp.io.grayscale import display_values
from medvlp.io.header_values import numbers, text
from medvlp.io.image import Image
from medvlp.io.pixel_layout import COLOUR, read_layout
from medvlp.io.stored_values import stored_values


def read_image(path: str | Path, *, frame: int | None = None) -> Image:
    """Read a radiograph from DICOM, PNG, JPEG or TIFF.

    DICOM: modality LUT or rescale, VOI LUT or window, inversion of MONOCHROME1, padding to black (PS3.4 N.2.1; PS3.3 C.11.1,
    C.11.2, C.7.5.1.1.2). Without a window the full range of the values present, padding left out, is shown.

    Args:
        path: the file.
        frame: which frame of a multi-frame object, from 0; None reads the first and says so in `steps`.

    Returns:
        Image with `array` float32 `[H, W]` between 0 and 1.

    Raises:
        ReadError: the file cannot be read or cannot be trusted; `reason` says why.
    """
    path = Path(path)
    try:
        data = read_bytes(path)
        if not data:
            raise Unreadable("the file is empty")
        if looks_like_dicom(data):
            return _read_dicom(data, frame)
        from medvlp.io.picture import read_picture

        return read_picture(data, frame)
    except Unreadable as reason:
        raise ReadError(path, str(reason)) from None


def _read_dicom(data: bytes, frame: int | None) -> Image:
    file = parse_dicom(data)
    header = file.header
    if not file.pixel_kind:
        raise Unreadable("a DICOM object without pixels")
    layout = read_layout(header, file.pixel_kind)
    index = frame or 0
    stored, layout = stored_values(file, layout, index)
    if layout.photometric in COLOUR:
        array, steps = colour_values(stored, layout)
    elif layout.photometric == "PALETTE COLOR":
        array, steps = palette_values(stored, layout, header)
    else:
        array, steps = display_values(stored, layout, header)
    if layout.frames > 1:
        steps = (f"frame {index} of {layout.frames}", *steps)
    return Image(
        np.ascontiguousarray(array, np.float32),
        spacing=_spacing(header),
        orientation=text(header, "PatientOrientation"),
        modality=text(header, "Modality") or "OT",
        view=text(header, "ViewPosition"),
        source="dicom",
        steps=steps,
        frame=index if layout.frames > 1 else None,
    )


def _spacing(header: Dataset) -> tuple[float, float] | None:
    """Row and column spacing in mm: at the patient where the file says, else at the detector (PS3.3 10.7.1.1)."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        values = numbers(header, keyword)
        if len(values) == 2 and min(values) > 0:
            return values[0], values[1]
    return None
