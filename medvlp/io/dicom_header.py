"""Typed access to the elements of a DICOM header, also of one frame of an enhanced object (PS3.3 C.7.6.16).

A number is a number, or a `FormatError` that names the tag and quotes no value.
"""

from __future__ import annotations

import math
import re
from typing import Any

from pydicom.datadict import dictionary_description, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from medvlp.io.errors import FormatError


def numbers(header: Dataset, keyword: str) -> list[float]:
    """All values of an element as finite floats; [] where it is missing or empty."""
    value = _value(header, keyword)
    if value is None or value == "":
        return []
    values = list(value) if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]
    try:
        read = [float(item) for item in values if item is not None and item != ""]
    except (TypeError, ValueError):
        raise FormatError(f"{name(keyword)} is not a number") from None
    if not all(math.isfinite(item) for item in read):
        raise FormatError(f"{name(keyword)} is not finite")
    return read


def number(header: Dataset, keyword: str, default: float | None = None) -> float:
    """The first value of an element as a float, or `default`; without a default the element is required."""
    values = numbers(header, keyword)
    if values:
        return values[0]
    if default is None:
        raise FormatError(f"{name(keyword)} is missing")
    return default


def integer(header: Dataset, keyword: str, default: int | None = None) -> int:
    """The first value of an element as an integer, or `default`; without a default the element is required."""
    return int(number(header, keyword, default))


def text(header: Dataset, keyword: str) -> str:
    """An element of coded text (CS, UI, LO), stripped; several values joined by a backslash; "" where missing."""
    value = _value(header, keyword)
    if value is None:
        return ""
    if isinstance(value, (list, tuple)) or hasattr(value, "append"):
        return "\\".join(str(item).strip() for item in value)
    return str(value).strip(" \0")


def code(header: Dataset, keyword: str) -> str:
    """A code string (VR CS); "" where it is missing or holds anything but a code, which could be somebody's name."""
    value = text(header, keyword)
    return value if _CODE.fullmatch(value) else ""


def item(header: Dataset, keyword: str, index: int) -> Dataset | None:
    """One item of a sequence; None where the sequence or the item is missing."""
    value = _value(header, keyword)
    if not isinstance(value, Sequence) or index >= len(value):
        return None
    found: Dataset = value[index]
    return found


def name(keyword: str) -> str:
    """`Window Center (0028,1050)` for `WindowCenter`."""
    tag = Tag(tag_for_keyword(keyword) or 0)
    return f"{dictionary_description(tag)} ({tag.group:04X},{tag.element:04X})"


def _value(header: Dataset, keyword: str) -> Any:
    try:
        return header.get(keyword)
    except Exception as error:  # pydicom converts on access and raises what it likes; the text may quote the value
        raise FormatError(f"{name(keyword)} cannot be read ({type(error).__name__})") from None


_CODE = re.compile(r"[A-Z0-9 _\\]{1,16}")  # PS3.5 section 6.2
_GROUPS = {  # each with what it replaces in the object itself
    "PixelValueTransformationSequence": "ModalityLUTSequence",  # C.7.6.16.2.9: rescale
    "FrameVOILUTSequence": "VOILUTSequence",  # C.7.6.16.2.10: window
    "PixelMeasuresSequence": "",  # C.7.6.16.2.1: spacing
    "PlanePositionSequence": "",  # C.7.6.16.2.3
    "PlaneOrientationSequence": "",  # C.7.6.16.2.4
    "FrameContentSequence": "",  # C.7.6.16.2.2: which stack, which time
    "SegmentIdentificationSequence": "",  # C.8.20.3.1: which segment
}


def frame_header(header: Dataset, frame: int) -> Dataset:
    """The elements that hold for one frame: per-frame groups go before shared ones, and both before the object's own.

    Returns:
        `header` itself where the object has no functional groups, else a copy with the groups' elements laid over it.
    """
    groups = [
        item(header, "SharedFunctionalGroupsSequence", 0),
        item(header, "PerFrameFunctionalGroupsSequence", frame),
    ]
    present = [group for group in groups if group is not None]
    if not present:
        return header
    flat = Dataset({tag: header.get_item(tag) for tag in header.keys()})  # noqa: SIM118 (iterating yields elements)
    for group in present:
        for keyword, replaced in _GROUPS.items():
            macro = item(group, keyword, 0)
            if macro is not None:
                if replaced and replaced in flat:
                    del flat[replaced]
                flat.update(macro)
    return flat
