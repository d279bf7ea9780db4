"""Typed look-ups in a DICOM header: a number is a number, or an `Unreadable` that names the tag and quotes no value."""

from __future__ import annotations

import math
from typing import Any

from pydicom.datadict import dictionary_description, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from medvlp.io.errors import Unreadable


def numbers(header: Dataset, keyword: str) -> list[float]:
    """All values of an element as finite floats; [] where it is missing or empty."""
    value = _value(header, keyword)
    if value is None or value == "":
        return []
    values = list(value) if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]
    try:
        read = [float(item) for item in values if item is not None and item != ""]
    except (TypeError, ValueError):
        raise Unreadable(f"{name(keyword)} is not a number") from None
    if not all(math.isfinite(item) for item in read):
        raise Unreadable(f"{name(keyword)} is not finite")
    return read


def number(header: Dataset, keyword: str, default: float | None = None) -> float:
    """The first value of an element as a float, or `default`; without a default the element is required."""
    values = numbers(header, keyword)
    if values:
        return values[0]
    if default is None:
        raise Unreadable(f"{name(keyword)} is missing")
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
        raise Unreadable(f"{name(keyword)} cannot be read ({type(error).__name__})") from None
