"""One compressed frame -> stored values, each kind of stream by its fastest decoder (PS3.5 section 8.2, 10, annex A.4).

The stream decides, not the transfer syntax: files whose syntax is wrong by one are common. What a stream says of its
size is compared with the header before a decoder sees it.
"""

from __future__ import annotations

import struct
import sys
import threading
import zlib
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from medvlp.io.codestream import Codestream, read_codestream
from medvlp.io.errors import FormatError
from medvlp.io.pixel_layout import PixelLayout

RLE = "1.2.840.10008.1.2.5"
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
PLAIN_FRAMES = "1.2.840.10008.1.2.1.98"
_HTJ2K_LOCK = threading.Lock()
HTJ2K_LOSSLESS = ("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202")
LOSSY_SYNTAXES = frozenset(
    f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 81, 91, 93, 111, 112, 203)
)  # those that allow loss
SYNTAXES = {
    "1.2.840.10008.1.2": "implicit VR little endian",
    "1.2.840.10008.1.2.1": "explicit VR little endian",
    "1.2.840.10008.1.2.1.99": "deflated explicit VR little endian",
    "1.2.840.10008.1.2.2": "explicit VR big endian",
    PLAIN_FRAMES: "encapsulated uncompressed",
    DEFLATED_FRAMES: "deflated image frame",
    RLE: "RLE lossless",
    "1.2.840.10008.1.2.4.50": "JPEG baseline",
    "1.2.840.10008.1.2.4.51": "JPEG extended",
    "1.2.840.10008.1.2.4.57": "JPEG lossless",
    "1.2.840.10008.1.2.4.70": "JPEG lossless SV1",
    "1.2.840.10008.1.2.4.80": "JPEG-LS lossless",
    "1.2.840.10008.1.2.4.81": "JPEG-LS near-lossless",
    "1.2.840.10008.1.2.4.90": "JPEG 2000 lossless",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.92": "JPEG 2000 multi-component lossless",
    "1.2.840.10008.1.2.4.93": "JPEG 2000 multi-component",
    "1.2.840.10008.1.2.4.94": "JPIP, pixels elsewhere",
    "1.2.840.10008.1.2.4.95": "JPIP deflated, pixels elsewhere",
    "1.2.840.10008.1.2.4.100": "MPEG-2 video",
    "1.2.840.10008.1.2.4.101": "MPEG-2 video",
    "1.2.840.10008.1.2.4.102": "MPEG-4 video",
    "1.2.840.10008.1.2.4.103": "MPEG-4 video",
    "1.2.840.10008.1.2.4.104": "MPEG-4 video",
    "1.2.840.10008.1.2.4.105": "MPEG-4 video",
    "1.2.840.10008.1.2.4.106": "MPEG-4 video",
    "1.2.840.10008.1.2.4.107": "HEVC video",
    "1.2.840.10008.1.2.4.108": "HEVC video",
    "1.2.840.10008.1.2.4.110": "JPEG XL lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL recompressed JPEG",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
    "1.2.840.10008.1.2.4.201": "HTJ2K lossless",
    "1.2.840.10008.1.2.4.202": "HTJ2K lossless RPCL",
    "1.2.840.10008.1.2.4.203": "HTJ2K",
}


@dataclass(frozen=True)
class DecodedFrame:
    """A decoded frame.

    Attributes:
        array: `[H, W]` or `[H, W, 3]`, values as they are stored.
        photometric: the photometric interpretation they are in.
        sign_at: bits of a value in a JPEG 2000 stream, which has its own idea of precision and sign; 0 elsewhere.
    """

    array: NDArray[Any]
    photometric: str
    sign_at: int = 0


def syntax_name(syntax: str) -> str:
    """`JPEG baseline (1.2.840.10008.1.2.4.50)`; the bare UID where it is not known."""
    return f"{SYNTAXES[syntax]} ({syntax})" if syntax in SYNTAXES else syntax


def decode_frame(data: bytes, syntax: str, layout: PixelLayout, threads: int = 1) -> DecodedFrame:
    """Decode one frame.

    Args:
        data: its bytes, fragments joined.
        syntax: transfer syntax UID.
        layout: what the header says; the frame has to agree.
        threads: for JPEG 2000, whose decoder can use several.

    Raises:
        FormatError: nothing here reads the syntax, or the frame is damaged or does not fit its header.
    """
    if syntax == RLE:
        return _rle(data, layout)
    stream = read_codestream(data)
    if stream is None or stream.kind == "JPEG arithmetic":
        raise FormatError(f"transfer syntax {syntax_name(syntax)} cannot be read")
    if stream.rows and (stream.rows, stream.columns, stream.samples) != (layout.rows, layout.columns, layout.samples):
        raise FormatError(
            f"the {stream.kind} frame is {stream.rows} x {stream.columns} x {stream.samples}, "
            f"the header says {layout.rows} x {layout.columns} x {layout.samples}"
        )
    if not stream.complete:
        raise FormatError(f"the {stream.kind} frame is cut short: its end marker is missing")
    try:
        array = _decode(data, stream, syntax, threads)
    except (RuntimeError, ValueError, MemoryError) as error:
        raise FormatError(f"the {stream.kind} frame is damaged ({type(error).__name__})") from None
    if array.shape[:2] != (layout.rows, layout.columns):
        raise FormatError(f"the {stream.kind} frame is {array.shape[0]} x {array.shape[1]} once decoded")
    sign_at = stream.precision if stream.kind in ("JPEG 2000", "HTJ2K") else 0
    return DecodedFrame(array, _photometric(stream, layout), sign_at)


def inflate_frame(data: bytes, layout: PixelLayout) -> bytes:
    """One frame of Deflated Image Frame Compression (PS3.5 section A.4), never larger than the header says."""
    size = (layout.frame_bits + 7) // 8
    try:
        frame = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size + 2)
    except zlib.error:
        raise FormatError("the deflated frame is damaged") from None
    if len(frame) < size:
        raise FormatError(f"the deflated frame has {len(frame):,} bytes and its header needs {size:,}")
    return frame


def _decode(data: bytes, stream: Codestream, syntax: str, threads: int) -> NDArray[Any]:
    if stream.kind == "JPEG" and stream.samples == 3:
        # equal color spaces in and out: the components come as they are stored
        return imagecodecs.jpeg8_decode(data, colorspace="YCBCR", outcolorspace="YCBCR")
    if stream.kind in ("JPEG", "JPEG lossless"):
        return imagecodecs.jpeg8_decode(data)
    if stream.kind == "JPEG-LS":
        return imagecodecs.jpegls_decode(data)
    if stream.reversible and syntax in HTJ2K_LOSSLESS:
        return _htj2k(data)  # several times as fast, but what overshoots in a lossy stream wraps around
    if stream.kind == "JPEG XL":
        return imagecodecs.jpegxl_decode(data)
    return imagecodecs.jpeg2k_decode(data, numthreads=threads)


def _htj2k(data: bytes) -> NDArray[Any]:
    """Decode with OpenJPH, whose binding reports damage as an exception that nobody can catch and goes on.

    Raises:
        RuntimeError: the stream is damaged.
    """
    lost: list[object] = []
    with _HTJ2K_LOCK:  # the hook is the interpreter's
        before, sys.unraisablehook = sys.unraisablehook, lambda unraisable: lost.append(unraisable.exc_type)
        try:
            array = imagecodecs.htj2k_decode(data)
        finally:
            sys.unraisablehook = before
    if lost:
        raise RuntimeError("the stream is damaged")
    return array


def _photometric(stream: Codestream, layout: PixelLayout) -> str:
    """What the decoded components are: a statement of the stream itself goes before the header's."""
    if layout.samples == 1:
        return layout.photometric
    if stream.kind == "JPEG XL" or stream.color == "RGB" or layout.photometric in ("YBR_ICT", "YBR_RCT"):
        return "RGB"
    if stream.kind == "JPEG" and stream.color == "YCbCr":
        return "YBR_FULL"
    return "YBR_FULL" if layout.photometric == "YBR_FULL_422" else layout.photometric


def _rle(data: bytes, layout: PixelLayout) -> DecodedFrame:
    """PackBits by byte planes, most significant first (PS3.5 annex G)."""
    rows, columns, size = layout.rows, layout.columns, (layout.frame_bits + 7) // 8
    try:
        if layout.bits_allocated == 1:
            packed = np.frombuffer(_packbits(data[64:], size), np.uint8)
            flat = np.unpackbits(packed, bitorder="little")[: rows * columns]
        else:
            code = f"<u{layout.bits_allocated // 8}"
            flat = np.frombuffer(_rle_words(data, code, size), code)
    except (RuntimeError, ValueError, IndexError, struct.error) as error:
        raise FormatError(f"the RLE frame is damaged ({type(error).__name__})") from None
    if len(flat) != rows * columns * layout.samples:
        raise FormatError(
            f"the RLE frame has {len(flat):,} values, the header needs {rows * columns * layout.samples:,}"
        )
    if layout.samples == 1:
        return DecodedFrame(flat.reshape(rows, columns), layout.photometric)
    planes = flat.reshape(layout.samples, rows, columns)  # RLE always stores planes (PS3.5 G.2)
    return DecodedFrame(np.moveaxis(planes, 0, -1), layout.photometric)


def _rle_words(data: bytes, code: str, size: int) -> bytes:
    """Words of an RLE frame. What follows the last run of a segment is padding, whatever its value (PS3.5 G.3.1)."""
    try:
        return bytes(imagecodecs.dicomrle_decode(data, code, out=size))
    except (RuntimeError, ValueError):  # its decoder takes a wrong pad byte for the start of a run
        count, *starts = struct.unpack_from("<16I", data)
        width = np.dtype(code).itemsize
        if not 0 < count <= 15 or count % width:
            raise
        ends = [*starts[1:count], len(data)]
        planes = [_packbits(data[start:end], size // count) for start, end in zip(starts[:count], ends, strict=True)]
        bytes_of = np.stack([np.frombuffer(plane, np.uint8) for plane in planes]).reshape(count // width, width, -1)
        return np.ascontiguousarray(bytes_of[:, ::-1].transpose(0, 2, 1)).tobytes()  # the first plane is the highest


def _packbits(segment: bytes, size: int) -> bytes:
    """`size` bytes of PackBits; at most two bytes may follow, the pad byte and one that makes the length even.

    Raises:
        ValueError: the runs end too early, too late, or go beyond `size`.
    """
    result, position = bytearray(), 0
    while len(result) < size:
        control = segment[position]
        if control < 128:
            result += segment[position + 1 : position + 2 + control]
            position += 2 + control
        else:
            result += segment[position + 1 : position + 2] * (257 - control if control > 128 else 0)
            position += 2 if control > 128 else 1
    if len(result) != size or not position <= len(segment) <= position + 2:
        raise ValueError("the runs do not fit the frame")
    return bytes(result)
