"""Which DICOM files belong to one patient and one study, without their identifiers, which never leave this file; and
which of them are slices of a volume."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path
from typing import NamedTuple

from medvlp.data.image_kind import VOLUMETRIC

_SALT = secrets.token_bytes(16)  # thrown away with the process: the keys cannot be traced back


class DicomKeys(NamedTuple):
    """What a header says, without saying who it is.

    Attributes:
        patient, study: equal for files of one patient and of one study within this process; "" where there is no id.
        modality: of a volume's slices (`CT`, `MR`, ...); "" for all else, since a header may have any text there.
    """

    patient: str
    study: str
    modality: str


def dicom_keys(path: Path) -> DicomKeys | None:
    """The keys of a file; None where it is no readable DICOM file."""
    import pydicom
    from pydicom import config
    from pydicom.errors import InvalidDicomError

    previous, config.settings.reading_validation_mode = config.settings.reading_validation_mode, config.IGNORE
    try:
        tags = ["PatientID", "StudyInstanceUID", "Modality"]
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags)
        modality = str(header.get("Modality") or "")
        patient, study = str(header.get("PatientID") or ""), str(header.get("StudyInstanceUID") or "")
    except (InvalidDicomError, OSError, ValueError, AttributeError, EOFError, KeyError, NotImplementedError):
        return None  # an unreadable header is for `prepare` to report; here the file only stands alone
    finally:
        config.settings.reading_validation_mode = previous
    volumetric = modality if modality in VOLUMETRIC else ""
    keys = (_key(patient), _key(f"{patient}\n{study}")) if patient else ("", "")
    return DicomKeys(*keys, volumetric)


def _key(identifier: str) -> str:
    return hashlib.blake2b(identifier.encode(), key=_SALT, digest_size=16).hexdigest()
