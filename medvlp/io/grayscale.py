"""Stored values -> display values between 0 and 1: the grayscale pipeline of PS3.4 N.2.1.

Every step works value by value, so the pipeline is run once over the 65,536 values that 16 bits can store, in float64,
and the image is one look-up in the curve that comes out. Wider integers and floats go through the steps themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from medvlp.io.dicom_header import number, numbers, text
from medvlp.io.intensity import FUNCTIONS, window_values
from medvlp.io.lookup_table import LookupTable, in_blocks, lut_item, read_lookup_table
from medvlp.io.pixel_layout import PixelLayout, padding_range

Values = NDArray[Any]
_LOSSY_NOISE = 0.1  # of the range of the pixels: how far a codec strays from a padding value
_CODEC_BLOCK = 8  # pixels: JPEG mixes what lies in one block


def display_values(
    stored: Values, layout: PixelLayout, header: Dataset, little_endian: bool, lossy: bool = False
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Modality LUT or rescale, VOI LUT or window, inversion of MONOCHROME1, padding to black: in this order.

    Args:
        stored: `[H, W]`.
        layout: its Image Pixel module.
        header: the elements of the object, of one frame where it has several.
        little_endian: byte order of the data set, for the tables in it.
        lossy: the pixels went through a lossy codec, which leaves noise around padding.

    Returns:
        float32 `[H, W]` between 0 and 1, and the steps in words.
    """
    padding = padding_range(layout, header)
    ends_will_do = lut_item(header, "ModalityLUTSequence", []) is None  # a rescale keeps the order, a table need not
    body = _away_from_padding(stored, padding) if lossy and padding is not None and stored.dtype.kind != "f" else stored
    present = _present(body, padding, ends_will_do)

    def pipeline(values: Values) -> tuple[NDArray[np.float64], tuple[str, ...]]:
        return _pipeline(values.astype(np.float64), present, padding, layout, header, little_endian)

    if stored.dtype.kind == "f" or stored.dtype.itemsize > 2:
        return in_blocks(lambda rows: np.nan_to_num(pipeline(rows)[0]), stored), pipeline(stored[:1])[1]
    possible = np.arange(1 << 8 * stored.dtype.itemsize).astype(stored.dtype.newbyteorder("="))
    curve, steps = pipeline(possible)
    return apply_curve(curve.astype(np.float32), stored), steps


def apply_curve(curve: NDArray[np.float32], stored: Values) -> NDArray[np.float32]:
    """`curve[stored]` for integers of 8 or 16 bits, negative ones counted from the end."""
    index = stored.view(stored.dtype.str.replace("i", "u"))
    return in_blocks(lambda rows: np.take(curve, rows, mode="clip"), index)


def modality_values(
    values: NDArray[np.float64], layout: PixelLayout, header: Dataset, little_endian: bool, steps: list[str]
) -> NDArray[np.float64]:
    """Modality LUT sequence or rescale (PS3.3 C.11.1); nothing where the file has neither."""
    table = modality_lut(header, layout.signed, little_endian, steps)
    if table is not None:
        steps.append(f"modality LUT of {len(table.entries)} entries")
        return table(values)
    slope, intercept = rescale(header, steps)
    return values if (slope, intercept) == (1.0, 0.0) else values * slope + intercept


def modality_lut(header: Dataset, signed: bool, little_endian: bool, steps: list[str]) -> LookupTable | None:
    """The table of the Modality LUT Sequence (0028,3000); None where there is none."""
    found = lut_item(header, "ModalityLUTSequence", steps)
    return None if found is None else read_lookup_table(found, signed, little_endian)


def rescale(header: Dataset, steps: list[str]) -> tuple[float, float]:
    """Rescale Slope and Rescale Intercept (PS3.3 C.11.1.1.2); 1 and 0 where the file has none."""
    slope, intercept = number(header, "RescaleSlope", 1.0), number(header, "RescaleIntercept", 0.0)
    if slope == 0:
        slope = 1.0
        steps.append("Rescale Slope (0028,1053) is 0, which is not allowed: taken as 1")
    if (slope, intercept) != (1.0, 0.0):
        steps.append(f"rescale {slope:g} x stored {intercept:+g}")
    return slope, intercept


def _pipeline(
    values: NDArray[np.float64],
    present: NDArray[np.float64],
    padding: tuple[float, float] | None,
    layout: PixelLayout,
    header: Dataset,
    little_endian: bool,
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """The steps over `values`, which are all stored values that there can be, or some of the image's own."""
    steps: list[str] = []
    is_padding = None if padding is None else (values >= padding[0]) & (values <= padding[1])
    output = modality_values(values, layout, header, little_endian, steps)
    display = _voi(output, header, little_endian, steps)
    if display is None:
        ends = modality_values(present, layout, header, little_endian, [])
        display = _full_range(output, float(ends.min()), float(ends.max()), steps)
    if layout.photometric == "MONOCHROME1":
        display = 1 - display
        steps.append("inverted (MONOCHROME1)")
    if is_padding is not None and padding is not None:
        display[is_padding] = 0
        steps.append(f"padding {_interval(*padding)} set to black")
    return display, tuple(steps)


def _voi(values: NDArray[np.float64], header: Dataset, little_endian: bool, steps: list[str]) -> Values | None:
    """VOI LUT sequence before window (PS3.3 C.11.2); None where the file has neither or a forbidden window."""
    lut = lut_item(header, "VOILUTSequence", steps)
    if lut is not None:
        table = read_lookup_table(lut, bool(values.min() < 0), little_endian)
        steps += [table.remark] if table.remark else []
        steps.append(f"VOI LUT of {len(table.entries)} entries, {table.bits} bits")
        return np.clip(table(values) / ((1 << table.bits) - 1), 0, 1)
    centers, widths = numbers(header, "WindowCenter"), numbers(header, "WindowWidth")
    if not centers or not widths:
        return None
    function = text(header, "VOILUTFunction").upper() or "LINEAR"
    if function not in FUNCTIONS:
        steps.append("VOI LUT Function (0028,1056) is not known: taken as LINEAR")
        function = "LINEAR"
    try:
        display = window_values(values, centers[0], widths[0], function)
    except ValueError:
        steps.append(f"window {centers[0]:g}/{widths[0]:g} {function} is not allowed: left out")
        return None
    steps.append(f"window {centers[0]:g}/{widths[0]:g} {function}" + _first_of(len(centers)))
    return display


def _full_range(values: NDArray[np.float64], low: float, high: float, steps: list[str]) -> NDArray[np.float64]:
    steps.append(f"no window in the file: full range {_interval(low, high)}")
    return np.clip((values - low) / (high - low), 0, 1) if high > low else np.zeros_like(values)


def _present(stored: Values, padding: tuple[float, float] | None, ends_will_do: bool) -> NDArray[np.float64]:
    """The stored values that are present (or their ends), padding left out unless there is nothing else."""
    if stored.dtype.kind == "f":
        low, high = padding or (np.inf, -np.inf)
        finite = [rows[np.isfinite(rows) & ~((rows >= low) & (rows <= high))] for rows in stored]
        ends = [(rows.min(), rows.max()) for rows in finite if rows.size]
        return np.array(ends or [(0, 0)], np.float64).reshape(-1)
    if padding is None and ends_will_do:
        return np.array([stored.min(), stored.max()], np.float64)
    if stored.dtype.itemsize <= 2:
        is_present = np.zeros(1 << 8 * stored.dtype.itemsize, np.bool_)
        is_present[stored.view(stored.dtype.str.replace("i", "u"))] = True
        values = np.flatnonzero(is_present).astype(f"u{stored.dtype.itemsize}").view(stored.dtype.newbyteorder("="))
    else:
        values = np.unique(stored)
    inside = values if padding is None else values[(values < padding[0]) | (values > padding[1])]
    return (inside if inside.size else values).astype(np.float64)


def _away_from_padding(stored: Values, padding: tuple[float, float]) -> Values:
    """The pixels `[N]` that no lossy codec mixed with padding: none within a block of it; all where none is left."""
    from scipy.ndimage import binary_dilation

    spread = float(stored.max()) - float(stored.min())
    near = (stored >= padding[0] - _LOSSY_NOISE * spread) & (stored <= padding[1] + _LOSSY_NOISE * spread)
    # A darker or brighter pixel of the body that happens to be near in value stays, unless it lies beside padding.
    margin = 0.1 * _LOSSY_NOISE * spread
    core = (stored >= padding[0] - margin) & (stored <= padding[1] + margin)
    touched = binary_dilation(core, iterations=_CODEC_BLOCK, mask=near)
    inside = stored[~binary_dilation(touched, np.ones((3, 3), np.bool_), iterations=_CODEC_BLOCK)]
    return inside if inside.size else stored.reshape(-1)


def _first_of(count: int) -> str:
    return f" (first of {count})" if count > 1 else ""


def _interval(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
