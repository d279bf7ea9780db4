"""DICOM files made on the spot, element by element, so that every test says what it is about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

WriteDicom = Callable[..., Path]


def _lut_item(entries: NDArray[Any], first: int, bits: int, signed: bool = False) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if signed else "US", [len(entries) % 65536, first, bits])
    item.add_new("LUTData", "OW", np.asarray(entries, "<u2").tobytes())
    return item


def object_of(array: NDArray[Any], syntax: str = ExplicitVRLittleEndian, **elements: Any) -> FileDataset:
    """A DICOM object with `array` `[H, W]`, `[frames, H, W]` or `[H, W, 3]` as its uncompressed pixels."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = elements.pop("SOPClassUID", "1.2.840.10008.5.1.4.1.1.7")
    meta.MediaStorageSOPInstanceUID = generate_uid()
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    samples = (
        3 if array.shape[-1] == 3 and "RGB YBR_FULL".find(elements.get("PhotometricInterpretation", "-")) >= 0 else 1
    )
    frames = array.ndim == 3 and samples == 1
    ds.Rows, ds.Columns = array.shape[1:3] if frames else array.shape[:2]
    ds.SamplesPerPixel = samples
    ds.PhotometricInterpretation = "RGB" if samples == 3 else "MONOCHROME2"
    if samples == 3:
        ds.PlanarConfiguration = 0
    if frames:
        ds.NumberOfFrames = len(array)
    if array.dtype.kind == "f":
        ds.add_new(
            0x7FE00008 if array.itemsize == 4 else 0x7FE00009, "OF" if array.itemsize == 4 else "OD", array.tobytes()
        )
        ds.BitsAllocated = array.itemsize * 8
    else:
        ds.BitsAllocated = ds.BitsStored = array.itemsize * 8
        ds.HighBit = ds.BitsAllocated - 1
        ds.PixelRepresentation = int(array.dtype.kind == "i")
        order = ">" if syntax == "1.2.840.10008.1.2.2" else "<"
        ds.PixelData = array.astype(array.dtype.newbyteorder(order)).tobytes() + b"\0" * (array.nbytes % 2)
        ds["PixelData"].VR = "OW" if array.itemsize > 1 else "OB"
    for keyword, value in elements.items():
        setattr(ds, keyword, Sequence(value) if keyword.endswith("Sequence") else value)
    return ds


@pytest.fixture
def lut_item() -> Callable[..., Dataset]:
    """`lut_item(entries, first, bits, signed=False)`: an item of a Modality LUT or VOI LUT sequence."""
    return _lut_item


@pytest.fixture
def dicom_object() -> Callable[..., FileDataset]:
    """`dicom_object(array, syntax=..., **elements)`: an object that has not been written yet."""
    return object_of


@pytest.fixture
def write_dicom(tmp_path: Path) -> WriteDicom:
    """`write_dicom(array, name="x.dcm", **elements)` writes a file and returns its path."""

    def write(array: NDArray[Any], name: str = "x.dcm", **elements: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with disable_value_validation():  # many a test is about values that nobody should write
            dcmwrite(path, object_of(array, **elements), enforce_file_format=True)
        return path

    return write
