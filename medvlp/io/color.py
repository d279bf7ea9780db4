"""Color and palette pixels -> luma between 0 and 1 (PS3.3 C.7.6.3.1.2, C.7.6.3.1.5, C.7.6.3.1.6, C.7.9.2)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from medvlp.io.dicom_header import name
from medvlp.io.errors import FormatError
from medvlp.io.grayscale import apply_curve
from medvlp.io.lookup_table import LookupTable, descriptor, in_blocks, table_data
from medvlp.io.pixel_layout import PixelLayout

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # the weights by which YBR_FULL defines Y
_HUE, _FEW = 0.1, 0.05  # of the range of values; of the pixels
_FROM_YBR = np.array([[1, 0, 1.402], [1, -0.114 * 1.772 / 0.587, -0.299 * 1.402 / 0.587], [1, 1.772, 0]], np.float32)


def color_values(stored: NDArray[Any], layout: PixelLayout) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """RGB or YBR `[H, W, 3]` -> luma float32 `[H, W]` between 0 and 1.

    YBR goes through RGB, clipped as a display clips it: Y alone differs where a color lies outside what RGB can show.
    """
    white = np.float32((1 << layout.bits_stored) - 1)
    if layout.photometric == "RGB":
        display = in_blocks(lambda rows: np.minimum(rows.astype(np.float32) @ LUMA / white, 1), stored)
        return display, ("RGB reduced to luma",)
    middle = np.float32((1 << layout.bits_stored - 1) / white)
    partial = layout.photometric.startswith("YBR_PARTIAL")  # Y from 16 to 235, Cb and Cr from 16 to 240 of 8 bits

    def luma(rows: NDArray[Any]) -> NDArray[np.float32]:
        ybr = rows.astype(np.float32) / white
        ybr[..., 0] = (ybr[..., 0] - np.float32(16 / 255)) * np.float32(255 / 219) if partial else ybr[..., 0]
        ybr[..., 1:] = (ybr[..., 1:] - middle) * np.float32(255 / 224 if partial else 1)
        return np.clip(np.clip(ybr @ _FROM_YBR.T, 0, 1) @ LUMA, 0, 1)

    return in_blocks(luma, stored), (f"{layout.photometric} to RGB", "reduced to luma")


def is_colored(values: NDArray[Any], white: float, photometric: str = "RGB") -> bool:
    """Whether more than one in twenty pixels of `[H, W, 3 or 4]` has a hue; colored arrows on a gray image have fewer.

    Examples:
        >>> is_colored(np.full((8, 8, 3), [200, 40, 40], np.uint8), 255), is_colored(np.ones((8, 8, 3), np.uint8), 255)
        (True, False)
    """
    few = values[:: max(1, len(values) // 256), :: max(1, values.shape[1] // 256), :3].astype(np.float32) / white
    chroma = np.ptp(few, axis=2) if photometric == "RGB" else 2 * np.abs(few[..., 1:] - 0.5).max(axis=2)
    return bool((chroma > _HUE).mean() > _FEW)


def palette_values(
    stored: NDArray[Any], layout: PixelLayout, header: Dataset, little_endian: bool
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Indices `[H, W]` -> luma float32 `[H, W]` between 0 and 1.

    Raises:
        FormatError: a table is missing, impossible or shorter than its descriptor says.
    """
    if stored.dtype.itemsize > 2:
        raise FormatError(
            f"a palette has 65,536 entries at most and Bits Allocated (0028,0100) is {layout.bits_allocated}"
        )
    tables = [_table(header, color, layout.signed, little_endian) for color in ("Red", "Green", "Blue")]
    declared = tables[0].bits
    largest = max(float(table.entries.max()) for table in tables)
    bits = 8 if largest < 256 else 16  # 8-bit entries under a descriptor of 16 bits are common
    possible = np.arange(1 << 8 * stored.dtype.itemsize).astype(stored.dtype.newbyteorder("="))
    curve = sum(weight * table(possible) for weight, table in zip(LUMA, tables, strict=True)) / ((1 << bits) - 1)
    remark = (f"the palette says {declared} bits and its entries need {bits}: taken",) if bits != declared else ()
    steps = (*remark, f"palette of {len(tables[0].entries)} colors, {bits} bits", "reduced to luma")
    return apply_curve(np.clip(curve, 0, 1).astype(np.float32), stored), steps


def _table(header: Dataset, color: str, signed: bool, little_endian: bool) -> LookupTable:
    keyword = f"{color}PaletteColorLookupTable"
    entries, first, bits = descriptor(header, f"{keyword}Descriptor", signed)
    if bits not in (8, 16):
        raise FormatError(f"{name(f'{keyword}Descriptor')} says {bits} bits an entry; 8 and 16 exist")
    if header.get(f"{keyword}Data"):
        return LookupTable(table_data(header, f"{keyword}Data", entries, bits, little_endian), first, bits)
    segmented = header.get(f"Segmented{keyword}Data")
    if not isinstance(segmented, bytes):
        raise FormatError(f"{name(f'{keyword}Data')} is missing")
    order = "<" if little_endian else ">"
    words = (
        np.frombuffer(segmented[: len(segmented) // 2 * 2], f"{order}u2")
        if bits == 16
        else np.frombuffer(segmented, "u1")
    )
    values = _expand([int(word) for word in words], entries, bits // 8)
    if len(values) < entries:
        raise FormatError(f"{name(f'Segmented{keyword}Data')} expands to {len(values)} of {entries} entries")
    return LookupTable(np.array(values[:entries], np.float64), first, bits)


def _expand(words: list[int], entries: int, word_bytes: int) -> list[int]:
    """Segments (C.7.9.2): 0 n v.. discrete, 1 n end linear from the value before, 2 n low high: n segments again.

    No more than `entries` values are made, and an indirect segment may not point at another, so the work is bounded.
    """
    values: list[int] = []

    def run(position: int, segments: int, indirect_allowed: bool) -> None:
        done = 0
        while position + 1 < len(words) and done < segments and len(values) < entries:
            opcode, count = words[position], words[position + 1]
            if opcode == 0:
                values.extend(words[position + 2 : position + 2 + count])
                position += 2 + count
            elif opcode == 1 and values and position + 2 < len(words):
                start, end = values[-1], words[position + 2]
                steps = min(count, entries)
                values.extend(round(start + (end - start) * (step + 1) / count) for step in range(steps))
                position += 3
            elif opcode == 2 and indirect_allowed and position + 3 < len(words):
                low, high = words[position + 2], words[position + 3]
                run((low + (high << 8 * word_bytes)) // word_bytes, count, False)
                position += 4
            else:
                raise FormatError(f"a segmented palette has an impossible segment of type {opcode}")
            done += 1

    run(0, len(words), True)
    return values
