"""`read_image`: a radiograph, or one frame or slice of anything else, as display values between 0 and 1, bone white."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pydicom.dataset import Dataset

from medvlp.io.colour import colour_values
from medvlp.io.dicom_file import looks_like_dicom, parse_dicom
from medvlp.io.errors import Unreadable
from medvlp.io.functional_groups import frame_header
from medvlp.io.grayscale import display_values
from medvlp.io.guarded import guarded, read_bytes
from medvlp.io.header_values import numbers, text
from medvlp.io.image import Image
from medvlp.io.palette import palette_values
from medvlp.io.picture import read_picture
from medvlp.io.pixel_layout import COLOUR, read_layout
from medvlp.io.stored_values import stored_values

_CODE = re.compile(r"[A-Z0-9 _\\]{1,16}")  # what a value of VR CS may be; anything else could be somebody's name
THREADS = min(4, os.cpu_count() or 1)


def read_image(path: str | Path, *, frame: int | None = None, isolated: bool = False) -> Image:
    """Read a radiograph from DICOM, PNG, JPEG or TIFF.

    DICOM: modality LUT or rescale, VOI LUT or window, inversion of MONOCHROME1, padding to black (PS3.4 N.2.1; PS3.3
    C.11.1, C.11.2, C.7.5.1.1.2). Without a window the full range of the values present is shown, padding left out.
    Colour and palette images are reduced to luma. Overlays are left out.

    Args:
        path: the file.
        frame: which frame of a multi-frame object, from 0; None reads the first. `Image.frame` says which it was.
        isolated: decode in a process of its own, so that a decoder that crashes or hangs is only a `ReadError`.

    Returns:
        Image with `array` float32 `[H, W]` between 0 and 1.

    Raises:
        ReadError: the file cannot be read or cannot be trusted; `reason` says why.
    """
    with guarded(path) as file:
        data = read_bytes(file)
        if looks_like_dicom(data):
            return _read_dicom(data, frame, isolated)
        if isolated:
            from medvlp.io.sandbox import picture_isolated

            return picture_isolated(data, frame)
        return read_picture(data, frame)


def _read_dicom(data: bytes, frame: int | None, isolated: bool) -> Image:
    file = parse_dicom(data)
    if not file.pixel_kind:
        raise Unreadable("a DICOM object without pixels")
    layout = read_layout(file)
    index = frame or 0
    stored, layout = stored_values(file, layout, index, isolated=isolated, threads=THREADS)
    header = frame_header(file.header, index)
    if layout.photometric in COLOUR:
        array, steps = colour_values(stored, layout)
    elif layout.photometric == "PALETTE COLOR":
        array, steps = palette_values(stored, layout, header, file.little_endian)
    else:
        array, steps = display_values(stored, layout, header, file.little_endian)
    if layout.frames > 1:
        steps = (f"frame {index} of {layout.frames}", *steps)
    return Image(
        array,
        spacing=_spacing(header),
        orientation=_code(header, "PatientOrientation"),
        modality=_code(header, "Modality") or "OT",
        view=_code(header, "ViewPosition"),
        source="dicom",
        steps=steps,
        frame=index if layout.frames > 1 else None,
    )


def _spacing(header: Dataset) -> tuple[float, float] | None:
    """Row and column spacing in mm: in the patient where the file says, else at the detector (PS3.3 10.7.1)."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        values = numbers(header, keyword)
        if len(values) == 2 and min(values) > 0:
            return values[0], values[1]
    return None


def _code(header: Dataset, keyword: str) -> str:
    value = text(header, keyword)
    return value if _CODE.fullmatch(value) else ""
