"""Lookup tables of the Modality LUT and VOI LUT sequences (PS3.3 C.11.1.1.1, C.11.2.1.1), and their application."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from medvlp.io.dicom_header import item, name, numbers
from medvlp.io.errors import FormatError


@dataclass(frozen=True)
class LookupTable:
    """`entries` float64 `[N]`; `first` is the input value that maps to `entries[0]`; an entry has `bits` bits.

    `remark` says where the descriptor contradicts the entries, and what was done; "" where it does not.
    """

    entries: NDArray[np.float64]
    first: int
    bits: int
    remark: str = ""

    def __call__(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Inputs before the first take the first entry, inputs past the last take the last."""
        index = np.clip(np.rint(values) - self.first, 0, len(self.entries) - 1)
        return self.entries[index.astype(np.int64)]


def read_lookup_table(found: Dataset, signed: bool, little_endian: bool) -> LookupTable:
    """Read one item of a LUT sequence.

    Args:
        found: an item with LUT Descriptor (0028,3002) and LUT Data (0028,3006).
        signed: the values that go in can be negative, so that a first value above 32767 is meant as negative.
        little_endian: byte order of the data set.

    Raises:
        FormatError: the descriptor is impossible or the data are shorter than it says.
    """
    entries, first, bits = descriptor(found, "LUTDescriptor", signed)
    if not 8 <= bits <= 16:
        raise FormatError(f"{name('LUTDescriptor')} says {bits} bits an entry; 8 to 16 exist")
    return with_needed_bits(LookupTable(table_data(found, "LUTData", entries, bits, little_endian), first, bits))


def with_needed_bits(table: LookupTable) -> LookupTable:
    """The table with as many bits as its entries need, 8 at least, and a remark where its descriptor says another."""
    needed = max(8, int(table.entries.max()).bit_length())
    if needed == table.bits:
        return table
    return replace(table, bits=needed, remark=f"a LUT says {table.bits} bits and its entries need {needed}: taken")


def lut_item(header: Dataset, keyword: str, steps: list[str]) -> Dataset | None:
    """The first item of a LUT sequence that holds a table; items without one say nothing and are left out."""
    index = 0
    while (found := item(header, keyword, index)) is not None:
        if found.get("LUTData") and found.get("LUTDescriptor") is not None:
            return found
        steps.append(f"{name(keyword)} item without a table left out")
        index += 1
    return None


def descriptor(found: Dataset, keyword: str, signed: bool) -> tuple[int, int, int]:
    """Number of entries, first input value, bits of an entry."""
    values = [int(value) for value in numbers(found, keyword)]
    if len(values) != 3:
        raise FormatError(f"{name(keyword)} has {len(values)} values and needs 3")
    entries, first, bits = values
    first %= 65536
    return entries % 65536 or 65536, first - 65536 if signed and first > 32767 else first, bits


def table_data(found: Dataset, keyword: str, entries: int, bits: int, little_endian: bool) -> NDArray[np.float64]:
    """The entries of a table: words of 16 bits, or bytes where a table of 8 bits has one byte an entry."""
    raw: Any = found.get(keyword)
    if isinstance(raw, bytes):
        if bits == 8 and len(raw) < 2 * entries:
            data: NDArray[Any] = np.frombuffer(raw, np.uint8)
            if not little_endian:  # bytes in big-endian words come in swapped pairs (PS3.5 section 7.3)
                data = data[: len(data) // 2 * 2].reshape(-1, 2)[:, ::-1].reshape(-1)
        else:
            data = np.frombuffer(raw[: len(raw) // 2 * 2], "<u2" if little_endian else ">u2")
    else:
        data = np.array(numbers(found, keyword), np.int64) & 0xFFFF
    if len(data) < entries:
        raise FormatError(f"{name(keyword)} has {len(data)} entries and its descriptor says {entries}")
    return data[:entries].astype(np.float64)


_BYTES_AT_ONCE = 1 << 18


def in_blocks(function: Callable[[NDArray[Any]], NDArray[Any]], array: NDArray[Any]) -> NDArray[np.float32]:
    """float32 `[H, W]`: `function` of `[n, W, ...]` rows of `array` `[H, W, ...]`, one value a pixel."""
    result = np.empty(array.shape[:2], np.float32)
    rows = max(1, _BYTES_AT_ONCE // max(1, array[:1].nbytes))
    for first in range(0, len(array), rows):
        result[first : first + rows] = function(array[first : first + rows])
    return result
