"""One compressed frame -> stored values, by the fastest decoder for its transfer syntax (PS3.5 section 10, annex A.4)."""

from __future__ import annotations

import zlib
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from medvlp.io.errors import Unreadable
from medvlp.io.pixel_layout import PixelLayout

NATIVE = {
    "1.2.840.10008.1.2": "implicit VR little endian",
    "1.2.840.10008.1.2.1": "explicit VR little endian",
    "1.2.840.10008.1.2.1.99": "deflated explicit VR little endian",
    "1.2.840.10008.1.2.2": "explicit VR big endian",
}
COMPRESSED = {
    "1.2.840.10008.1.2.5": "RLE lossless",
    "1.2.840.10008.1.2.4.50": "JPEG baseline",
    "1.2.840.10008.1.2.4.51": "JPEG extended",
    "1.2.840.10008.1.2.4.57": "JPEG lossless",
    "1.2.840.10008.1.2.4.70": "JPEG lossless SV1",
    "1.2.840.10008.1.2.4.80": "JPEG-LS lossless",
    "1.2.840.10008.1.2.4.81": "JPEG-LS near-lossless",
    "1.2.840.10008.1.2.4.90": "JPEG 2000 lossless",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.201": "HTJ2K lossless",
    "1.2.840.10008.1.2.4.202": "HTJ2K lossless RPCL",
    "1.2.840.10008.1.2.4.203": "HTJ2K",
}


def decode_frame(syntax: str, data: bytes, layout: PixelLayout) -> tuple[NDArray[np.generic], str]:
    """Decode one frame.

    Returns:
        Stored values `[H, W]` or `[H, W, 3]`, and the photometric interpretation they are in after decoding.

    Raises:
        Unreadable: the syntax is not known, or the frame is damaged.
    """
    if syntax not in COMPRESSED:
        raise Unreadable(f"transfer syntax {syntax} cannot be read")
    kind = COMPRESSED[syntax]
    try:
        if kind == "RLE lossless":
            array, photometric = _rle(data, layout)
        elif kind.startswith("JPEG-LS"):
            array, photometric = _jpeg_ls(data, layout)
        elif "2" in kind:
            array, photometric = _jpeg_2000(data, layout)
        elif kind.startswith("JPEG lossless"):
            array, photometric = _jpeg_lossless(data, layout, syntax)
        else:
            array, photometric = _jpeg(data, layout)
    except (ValueError, RuntimeError, OSError, zlib.error) as error:
        raise Unreadable(f"the {kind} frame is damaged ({type(error).__name__})") from None
    if array.shape[:2] != (layout.rows, layout.columns):
        raise Unreadable(f"the {kind} frame is {array.shape[:2]} and the header says {(layout.rows, layout.columns)}")
    return array, photometric


def _rle(data: bytes, layout: PixelLayout) -> tuple[NDArray[np.generic], str]:
    from rle.rle import decode_frame as decode_rle

    pixels = layout.rows * layout.columns
    flat = np.frombuffer(decode_rle(data, pixels, layout.bits_allocated, "<"), f"<u{layout.bits_allocated // 8}")
    if layout.samples == 1:
        return flat.reshape(layout.rows, layout.columns), layout.photometric
    planes = flat.reshape(layout.samples, layout.rows, layout.columns)  # RLE always stores planes (PS3.5 G.2)
    return np.moveaxis(planes, 0, -1), layout.photometric


def _jpeg(data: bytes, layout: PixelLayout) -> tuple[NDArray[np.generic], str]:
    from PIL import Image

    image = Image.open(BytesIO(data), formats=("JPEG",))
    if layout.samples == 3 and "adobe_transform" not in image.info:
        image.draft("YCbCr", image.size)  # without a marker the components are what the header says; no conversion
        return np.asarray(image), layout.photometric
    return np.asarray(image), "RGB" if layout.samples == 3 else layout.photometric


def _jpeg_lossless(data: bytes, layout: PixelLayout, syntax: str) -> tuple[NDArray[np.generic], str]:
    import gdcm

    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(data)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((layout.columns, layout.rows, 1))
    image.SetDataElement(element)
    kind = gdcm.PhotometricInterpretation.GetPIType(layout.photometric)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    image.SetPixelFormat(
        gdcm.PixelFormat(layout.samples, layout.bits_allocated, layout.bits_stored, layout.high_bit, int(layout.signed))
    )
    values = np.frombuffer(image.GetBuffer().encode("utf-8", "surrogateescape"), f"<u{layout.bits_allocated // 8}")
    shape = (layout.rows, layout.columns) if layout.samples == 1 else (layout.rows, layout.columns, layout.samples)
    return values.reshape(shape), layout.photometric


def _jpeg_ls(data: bytes, layout: PixelLayout) -> tuple[NDArray[np.generic], str]:
    import jpeg_ls

    buffer, info = jpeg_ls.decode_pixel_data(data)
    flat = np.frombuffer(buffer, np.uint8 if info["bits_per_sample"] <= 8 else np.uint16)
    height, width, samples = info["height"], info["width"], info["components"]
    if samples == 1:
        return flat.reshape(height, width), layout.photometric
    if info["interleave_mode"] == 0:
        return np.moveaxis(flat.reshape(samples, height, width), 0, -1), layout.photometric
    return flat.reshape(height, width, samples), layout.photometric


def _jpeg_2000(data: bytes, layout: PixelLayout) -> tuple[NDArray[np.generic], str]:
    import openjpeg

    array = openjpeg.decode(data)
    return array, "RGB" if layout.photometric in ("YBR_ICT", "YBR_RCT") else layout.photometric
