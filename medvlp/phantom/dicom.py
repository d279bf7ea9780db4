"""`write_dicom`: an image as a 12-bit radiograph, MONOCHROME1 or 2, with nothing that identifies anybody."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path

import numpy as np
from numpy.random import Generator
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, RLELossless

from medvlp.phantom.geometry import Floats, Projection

_ROOT = "2.25."


def uid(*parts: object) -> UID:
    """A valid UID (UUID-derived, root 2.25) that depends on its parts alone."""
    digest = hashlib.sha256(repr(parts).encode()).digest()[:15]
    return UID(_ROOT + str(int.from_bytes(digest, "big")))


def write_dicom(
    path: Path,
    image: Floats,
    projection: Projection,
    *,
    key: tuple[int, ...],
    subject: int,
    study: int,
    day: date,
    time: str,
    rng: Generator,
    compress: bool = False,
) -> None:
    """Write `[0, 1]` values (bone white) so that the standard grayscale pipeline restores them (PS3.4 N.2).

    Stored values run the other way for MONOCHROME1; half of the files carry a window, the others span their full range.
    """
    inverted = rng.random() < 0.4
    windowed = rng.random() < 0.5
    level = np.rint(np.clip(image, 0, 1) * 4095).astype(np.uint16)
    pixels = (4095 - level) if inverted else level
    portable = projection.view == "AP"
    meta = FileMetaDataset()
    sop_class = UID("1.2.840.10008.5.1.4.1.1.1" if portable else "1.2.840.10008.5.1.4.1.1.1.1")
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = uid("image", *key)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = uid("medvlp phantom")
    ds = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID = uid("study", *key[:3]), uid("series", *key)
    ds.StudyDate, ds.StudyTime = day.strftime("%Y%m%d"), time
    ds.AccessionNumber, ds.ReferringPhysicianName = "", ""
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "", str(subject), "", ""
    ds.StudyID = str(study)
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = "generated"
    ds.Modality = "CR" if portable else "DX"
    ds.Manufacturer = "medvlp phantom"
    ds.BodyPartExamined, ds.ViewPosition = "CHEST", "LL" if projection.view == "LATERAL" else projection.view
    ds.PatientOrientation = ["P", "F"] if projection.view == "LATERAL" else ["L", "F"]
    ds.BurnedInAnnotation = "NO"
    ds.PresentationIntentType = "FOR PRESENTATION"
    spacing = [f"{projection.pitch:.4f}"] * 2
    ds.ImagerPixelSpacing = spacing
    if rng.random() < 0.5:
        ds.PixelSpacing = spacing
    ds.SamplesPerPixel, ds.Rows, ds.Columns = 1, *pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    ds.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
    if windowed:
        ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction = "2048", "4096", "LINEAR"
    ds.PixelData = pixels.tobytes()
    ds["PixelData"].VR = "OW"
    if compress:
        ds.compress(RLELossless, generate_instance_uid=False)
    ds.save_as(path, enforce_file_format=True)
