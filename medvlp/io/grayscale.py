"""Stored values -> display values between 0 and 1: the grayscale pipeline of PS3.4 N.2.1, PS3.3 C.11.1 and C.11.2."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from medvlp.io.errors import Unreadable
from medvlp.io.header_values import items, name, number, numbers, text
from medvlp.io.pixel_layout import PixelLayout

Float = NDArray[np.float32]


def display_values(stored: NDArray[np.generic], layout: PixelLayout, header: Dataset) -> tuple[Float, tuple[str, ...]]:
    """Modality LUT or rescale, VOI LUT or window, inversion of MONOCHROME1, padding to black: in this order.

    Returns:
        float32 `[H, W]` between 0 and 1, and the steps in words.
    """
    steps: list[str] = []
    padding = padding_mask(stored, layout, header)
    values = modality_values(stored, layout, header, steps)
    shown = _voi(values, header, padding, steps)
    if layout.photometric == "MONOCHROME1":
        np.subtract(np.float32(1), shown, out=shown)
        steps.append("inverted (MONOCHROME1)")
    if padding is not None:
        shown[padding] = 0
        steps.append(f"{int(padding.sum()):,} padding pixels set to black")
    return shown, tuple(steps)


def padding_mask(stored: NDArray[np.generic], layout: PixelLayout, header: Dataset) -> NDArray[np.bool_] | None:
    """Pixels that are no part of the image (PS3.3 C.7.5.1.1.2); None where the file names no value or none is present."""
    value = numbers(header, "PixelPaddingValue")
    if not value or layout.kind != "integer":
        return None
    limit = numbers(header, "PixelPaddingRangeLimit") or value
    ends = sorted(_as_stored(int(end[0]), layout) for end in (value, limit))
    mask = (stored >= ends[0]) & (stored <= ends[1])
    return mask if mask.any() else None


def modality_values(stored: NDArray[np.generic], layout: PixelLayout, header: Dataset, steps: list[str]) -> Float:
    """Modality LUT sequence or rescale (PS3.3 C.11.1); values as they are where the file has neither."""
    luts = items(header, "ModalityLUTSequence")
    if luts:
        table, first, _ = lookup_table(luts[0], layout.signed)
        steps.append(f"modality LUT of {len(table)} entries")
        return _look_up(stored, table, first)
    slope, intercept = number(header, "RescaleSlope", 1.0), number(header, "RescaleIntercept", 0.0)
    values = np.array(stored, np.float32)
    if (slope, intercept) != (1.0, 0.0):
        values *= np.float32(slope)
        values += np.float32(intercept)
        steps.append(f"rescale {slope:g} x stored {intercept:+g}")
    return values


def lookup_table(item: Dataset, signed: bool) -> tuple[Float, int, int]:
    """A LUT item: its entries, the first stored value mapped, and the bits of an entry (PS3.3 C.11.1.1.1, C.11.2.1.1)."""
    descriptor = numbers(item, "LUTDescriptor")
    if len(descriptor) != 3:
        raise Unreadable(f"{name('LUTDescriptor')} needs 3 values, has {len(descriptor)}")
    entries, first, bits = (int(value) for value in descriptor)
    entries = (entries % 65536) or 65536
    if not 1 <= bits <= 16:
        raise Unreadable(f"{name('LUTDescriptor')} says {bits} bits an entry")
    raw = item.get("LUTData")
    if isinstance(raw, bytes):
        data = np.frombuffer(raw[: len(raw) // 2 * 2], "<u2" if item.original_encoding[1] is not False else ">u2")
        if len(raw) < 2 * entries <= 2 * len(raw):  # entries of one byte
            data = np.frombuffer(raw, np.uint8)
    else:
        data = np.array(raw if raw is not None else [], np.int64) & 0xFFFF
    if len(data) < entries:
        raise Unreadable(f"{name('LUTData')} has {len(data)} entries and its descriptor says {entries}")
    if signed and first > 32767:
        first -= 65536
    return data[:entries].astype(np.float32), first, bits


def _look_up(values: NDArray[np.generic], table: Float, first: int) -> Float:
    """Values before the first entry take the first, values after the last take the last (C.11.1.1.1)."""
    index = np.clip(np.rint(values).astype(np.int64) - first, 0, len(table) - 1)
    return table[index]


def _voi(values: Float, header: Dataset, padding: NDArray[np.bool_] | None, steps: list[str]) -> Float:
    luts = items(header, "VOILUTSequence")
    if luts:
        table, first, bits = lookup_table(luts[0], bool(values.min() < 0))
        steps.append(f"VOI LUT of {len(table)} entries, {bits} bits")
        return _look_up(values, table / np.float32((1 << bits) - 1), first)
    centers, widths = numbers(header, "WindowCenter"), numbers(header, "WindowWidth")
    if centers and widths:
        function = text(header, "VOILUTFunction").upper() or "LINEAR"
        steps.append(f"window {centers[0]:g}/{widths[0]:g} {function}")
        return window_values(values, centers[0], widths[0], function)
    inside = values if padding is None or padding.all() else values[~padding]
    low, high = float(inside.min()), float(inside.max())
    steps.append(f"no window in the file: full range {low:g} to {high:g}")
    scale = 1 / (high - low) if high > low else 0.0
    return np.clip((values - np.float32(low)) * np.float32(scale), 0, 1)


def window_values(values: Float, center: float, width: float, function: str = "LINEAR") -> Float:
    """A window as PS3.3 C.11.2.1.2 and C.11.2.1.3 write it; display values between 0 and 1.

    Raises:
        Unreadable: the function is not one of the three, or the width is not allowed for it.
    """
    if function == "LINEAR":
        if width < 1:
            raise Unreadable(f"{name('WindowWidth')} is {width:g}; LINEAR needs at least 1")
        if width == 1:
            return (values > center - 0.5).astype(np.float32)
        return np.clip((values - np.float32(center - 0.5)) * np.float32(1 / (width - 1)) + np.float32(0.5), 0, 1)
    if width <= 0:
        raise Unreadable(f"{name('WindowWidth')} is {width:g}; it must be above 0")
    if function == "LINEAR_EXACT":
        return np.clip((values - np.float32(center)) * np.float32(1 / width) + np.float32(0.5), 0, 1)
    if function == "SIGMOID":
        with np.errstate(over="ignore"):
            return (1 / (1 + np.exp(np.float32(-4 / width) * (values - np.float32(center))))).astype(np.float32)
    raise Unreadable(f"{name('VOILUTFunction')} {function!r:.20} is not LINEAR, LINEAR_EXACT or SIGMOID")


def _as_stored(value: int, layout: PixelLayout) -> int:
    """A padding value as the pixels hold it: some writers give 63536 for -2000."""
    value &= (1 << layout.bits_allocated) - 1
    if layout.signed:
        value &= (1 << layout.bits_stored) - 1
        return value - (1 << layout.bits_stored) if value >> (layout.bits_stored - 1) else value
    return value
