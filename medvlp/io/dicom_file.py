"""A DICOM file as bytes -> the few elements that pixels need, and a view of the pixel element, nothing copied.

Only the elements of `WANTED` are ever read: names, dates and identifiers stay in the file. Lengths are checked before
anything is read or inflated (PS3.5 section 7.1, A.5; PS3.10 section 7.1).
"""

from __future__ import annotations

import struct
import warnings
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom import config as pydicom_config
from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag, Tag

from medvlp.io.errors import Unreadable

DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
MAX_INFLATED = 1 << 29  # bytes: half a GiB holds every single-frame image and most enhanced ones
UNDEFINED = 0xFFFFFFFF
PIXEL_TAGS = {0x7FE00008: "float", 0x7FE00009: "double", 0x7FE00010: "integer"}

_KEYWORDS = """
SOPClassUID Modality ImageType SeriesInstanceUID FrameOfReferenceUID ConversionType PresentationIntentType ViewPosition
PatientOrientation PatientPosition Laterality ImageLaterality ViewCodeSequence RescaleIntercept RescaleSlope RescaleType
ModalityLUTSequence WindowCenter WindowWidth VOILUTFunction VOILUTSequence PixelPaddingValue PixelPaddingRangeLimit
PresentationLUTShape PhotometricInterpretation SamplesPerPixel PlanarConfiguration Rows Columns BitsAllocated BitsStored
HighBit PixelRepresentation NumberOfFrames PixelSpacing ImagerPixelSpacing NominalScannedPixelSpacing PixelAspectRatio
SliceThickness SpacingBetweenSlices ImagePositionPatient ImageOrientationPatient InstanceNumber GantryDetectorTilt
AcquisitionNumber TemporalPositionIndex EchoNumbers PixelPresentation
RedPaletteColorLookupTableDescriptor GreenPaletteColorLookupTableDescriptor BluePaletteColorLookupTableDescriptor
RedPaletteColorLookupTableData GreenPaletteColorLookupTableData BluePaletteColorLookupTableData
SegmentedRedPaletteColorLookupTableData SegmentedGreenPaletteColorLookupTableData SegmentedBluePaletteColorLookupTableData
PaletteColorLookupTableUID SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence DimensionIndexSequence
ExtendedOffsetTable ExtendedOffsetTableLengths
"""
WANTED: list[BaseTag | int] = [Tag(keyword) for keyword in _KEYWORDS.split()]


@dataclass(frozen=True)
class DicomFile:
    """The parsed header and the undecoded pixel element.

    Attributes:
        header: the wanted elements that the file has.
        syntax: transfer syntax UID; guessed from the first bytes where the file does not say.
        little_endian: byte order of the header and of native pixels.
        pixel_kind: `integer`, `float` or `double`, after the pixel element that was found; "" without one.
        pixels: value of the pixel element (PS3.5 section A.4 items where `encapsulated`).
        encapsulated: the pixel element has undefined length, that is, holds items.
    """

    header: Dataset
    syntax: str
    little_endian: bool
    pixel_kind: str
    pixels: memoryview
    encapsulated: bool


def parse_dicom(data: bytes) -> DicomFile:
    """Read the wanted elements of a DICOM file and find its pixel element.

    Raises:
        Unreadable: no DICOM, a length beyond the end of the file, or a deflated data set that grows past `MAX_INFLATED`.
    """
    data = _inflated(data)
    stream = BytesIO(data)
    found: list[tuple[int, str | None, int]] = []

    def at_pixels_or_end(tag: BaseTag, vr: str | None, length: int) -> bool:
        if int(tag) in PIXEL_TAGS:
            found.append((int(tag), vr, length))
            return True
        if length != UNDEFINED and stream.tell() + length > len(data):
            raise Unreadable(
                f"element {tag} says {length:,} bytes and the file ends after {len(data) - stream.tell():,}"
            )
        return False

    try:
        with warnings.catch_warnings(), pydicom_config.disable_value_validation():
            warnings.simplefilter("ignore")  # pydicom's warnings quote values
            header = read_partial(stream, at_pixels_or_end, force=True, specific_tags=WANTED)
            syntax = str(header.file_meta.get("TransferSyntaxUID", "")) or _guessed_syntax(header)
    except Unreadable:
        raise
    except RecursionError:
        raise Unreadable("sequences are nested too deeply to be a real object") from None
    except Exception as error:  # whatever pydicom raises on a broken header; its text may quote values
        raise Unreadable(f"not a readable DICOM header ({type(error).__name__})") from None
    little = bool(header.is_little_endian if header.original_encoding[1] is None else header.original_encoding[1])
    if not found:
        return DicomFile(header, syntax, little, "", memoryview(b""), False)
    tag, vr, length = found[0]
    start = stream.tell() + (12 if vr in ("OB", "OW", "OF", "OD", "UN", "OL", "OV") else 8)
    if length != UNDEFINED and start + length > len(data):
        raise Unreadable(
            f"Pixel Data ({tag >> 16:04X},{tag & 0xFFFF:04X}) says {length:,} bytes and the file ends after "
            f"{max(0, len(data) - start):,}"
        )
    end = len(data) if length == UNDEFINED else start + length
    return DicomFile(header, syntax, little, PIXEL_TAGS[tag], memoryview(data)[start:end], length == UNDEFINED)


def read_bytes(path: Path) -> bytes:
    """The whole file, or an `Unreadable` that says why not."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise Unreadable("no such file") from None
    except IsADirectoryError:
        raise Unreadable("is a folder, not a file") from None
    except OSError as error:
        raise Unreadable(f"cannot be opened ({error.strerror})") from None


def looks_like_dicom(data: bytes) -> bool:
    """Preamble and prefix (PS3.10 section 7.1), or, where they are missing, a first element of group 0002 or 0008."""
    if data[128:132] == b"DICM":
        return True
    if len(data) < 8:
        return False
    little, big = struct.unpack("<H", data[:2])[0], struct.unpack(">H", data[:2])[0]
    return little in (0x0002, 0x0008) or big in (0x0002, 0x0008)


def _guessed_syntax(header: pydicom.FileDataset) -> str:
    """The syntax that pydicom found to fit, for files without Transfer Syntax UID."""
    implicit, little = header.original_encoding
    if implicit:
        return "1.2.840.10008.1.2"
    return EXPLICIT_LITTLE if little else "1.2.840.10008.1.2.2"


def _inflated(data: bytes) -> bytes:
    """The file with a deflated data set inflated (PS3.5 section A.5), never beyond `MAX_INFLATED`; other files as they are."""
    if data[128:132] != b"DICM" or DEFLATED.encode() not in data[132:1024]:
        return data
    position, syntax_at = 132, -1
    while (
        position + 8 <= len(data) and data[position : position + 2] == b"\x02\x00"
    ):  # group 0002: explicit little endian
        if data[position + 4 : position + 6] in (b"OB", b"OW", b"UN", b"SQ", b"UT"):
            header, (length,) = 12, struct.unpack("<I", data[position + 8 : position + 12])
        else:
            header, (length,) = 8, struct.unpack("<H", data[position + 6 : position + 8])
        if data[position : position + 4] == b"\x02\x00\x10\x00":
            syntax_at = position + header
        position += header + length
    if syntax_at < 0 or data[syntax_at : syntax_at + 22] != DEFLATED.encode():
        return data
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        body = inflater.decompress(data[position:], MAX_INFLATED + 1)
    except zlib.error:
        raise Unreadable("the deflated data set is damaged") from None
    if len(body) > MAX_INFLATED:
        raise Unreadable(f"the deflated data set grows past {MAX_INFLATED >> 20} MiB: refused")
    if not inflater.eof:
        raise Unreadable("the deflated data set is cut short")
    meta = bytearray(data[:position])
    meta[syntax_at : syntax_at + 22] = EXPLICIT_LITTLE.encode().ljust(22, b"\0")
    return bytes(meta) + body
