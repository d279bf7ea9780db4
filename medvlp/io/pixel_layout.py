"""How stored pixels are laid out: the Image Pixel module (PS3.3 C.7.6.3), checked before anything is allocated."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydicom.dataset import Dataset

from medvlp.io.dicom_file import DicomFile
from medvlp.io.dicom_header import integer, numbers, text
from medvlp.io.errors import FormatError

MAX_FRAME_SAMPLES = 100_000_000  # 10,000 squared; the largest mammography detectors have a quarter of it
COLOR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT")
KNOWN = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", *COLOR)


@dataclass(frozen=True)
class PixelLayout:
    """Shape and number format of one frame as it is stored.

    `kind` is `integer`, `float` or `double`; `photometric` the Photometric Interpretation (0028,0004).
    """

    rows: int
    columns: int
    frames: int
    samples: int
    planar: bool
    photometric: str
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    kind: str

    @property
    def frame_bits(self) -> int:
        """Bits of one uncompressed frame; YBR_FULL_422 stores two chroma samples for two pixels (C.7.6.3.1.2)."""
        samples = 2 if self.photometric in ("YBR_FULL_422", "YBR_PARTIAL_422") else self.samples
        return self.rows * self.columns * samples * self.bits_allocated


def read_layout(file: DicomFile) -> PixelLayout:
    """Read and check the Image Pixel module.

    Raises:
        FormatError: an element is missing or impossible, named with its tag.
    """
    header, kind = file.header, file.pixel_kind
    rows, columns = integer(header, "Rows"), integer(header, "Columns")
    if rows < 1 or columns < 1:
        raise FormatError(f"Rows (0028,0010) x Columns (0028,0011) is {rows} x {columns}")
    samples = integer(header, "SamplesPerPixel", 1)
    if rows * columns * max(1, samples) > MAX_FRAME_SAMPLES:
        raise FormatError(f"a frame of {rows:,} x {columns:,} x {samples} is beyond the limit of {MAX_FRAME_SAMPLES:,}")
    photometric = text(header, "PhotometricInterpretation").upper() or ("MONOCHROME2" if samples == 1 else "RGB")
    if photometric not in KNOWN:
        raise FormatError("Photometric Interpretation (0028,0004) is none that is known")
    if samples != (3 if photometric in COLOR else 1):
        raise FormatError(f"Samples per Pixel (0028,0002) is {samples} for {photometric}")
    if (photometric == "YBR_PARTIAL_420" and not file.encapsulated) or (photometric.endswith("422") and columns % 2):
        raise FormatError(f"{photometric} cannot be stored uncompressed with {columns} Columns (0028,0011)")
    planar = samples > 1 and integer(header, "PlanarConfiguration", 0) == 1
    if kind == "integer":
        allocated, stored, high = _bits(header)
        signed = integer(header, "PixelRepresentation", 0) == 1
    else:
        allocated = stored = 32 if kind == "float" else 64
        high, signed = stored - 1, True
    one = PixelLayout(rows, columns, 1, samples, planar, photometric, allocated, stored, high, signed, kind)
    return replace(one, frames=_frames(file, one))


def _bits(header: Dataset) -> tuple[int, int, int]:
    """Bits Allocated, Bits Stored, High Bit."""
    allocated = integer(header, "BitsAllocated")
    if allocated not in (1, 8, 12, 16, 32, 64):
        raise FormatError(f"Bits Allocated (0028,0100) is {allocated}; 1, 8, 12, 16, 32 and 64 can be read")
    stored = integer(header, "BitsStored", allocated)
    if not 1 <= stored <= allocated:
        raise FormatError(f"Bits Stored (0028,0101) is {stored} of {allocated} allocated")
    high = integer(header, "HighBit", stored - 1)
    if not stored - 1 <= high < allocated:
        raise FormatError(f"High Bit (0028,0102) is {high} for {stored} bits stored of {allocated}")
    return allocated, stored, high


def _frames(file: DicomFile, one: PixelLayout) -> int:
    """Number of Frames (0028,0008); counted from the pixels where the element is not a number."""
    try:
        frames = integer(file.header, "NumberOfFrames", 1)
    except FormatError:
        frames = 1 if file.encapsulated else file.pixels_length * 8 // one.frame_bits
    if frames < 1 or (file.encapsulated and frames > file.pixels_length // 8):
        raise FormatError(f"Number of Frames (0028,0008) is {frames:,}: impossible for this file")
    return frames


def padding_range(layout: PixelLayout, header: Dataset) -> tuple[float, float] | None:
    """Lowest and highest stored value that stands for no image (PS3.3 C.7.5.1.1.2), None where the file names none.

    A value is compared with whole words of Bits Allocated, before the bits outside Bits Stored are dropped: a padding
    value of 65535 in a file of 12 bits is no pixel's 4095.
    """
    prefix = {"integer": "Pixel", "float": "FloatPixel", "double": "DoubleFloatPixel"}[layout.kind]
    value = numbers(header, f"{prefix}PaddingValue")
    if not value:
        return None
    limit = numbers(header, f"{prefix}PaddingRangeLimit") or value
    ends = [value[0], limit[0]]
    if layout.kind == "integer":
        ends = [_as_word(int(end), layout) for end in ends]
    return min(ends), max(ends)


def fits_stored_bits(value: float, layout: PixelLayout) -> bool:
    """A word of `value` survives the loss of the bits outside Bits Stored."""
    low = -(1 << layout.bits_stored - 1) if layout.signed else 0
    return low <= value < low + (1 << layout.bits_stored)


def _as_word(value: int, layout: PixelLayout) -> int:
    """A padding value as a word of the pixels: some writers give 63536 for -2000, others -2000 for 63536."""
    value %= 1 << layout.bits_allocated
    return value - (1 << layout.bits_allocated) if layout.signed and value >> (layout.bits_allocated - 1) else value
