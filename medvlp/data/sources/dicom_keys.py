"""Which DICOM files belong to one patient and one study, without their identifiers: these never leave this file."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

_SALT = secrets.token_bytes(16)  # thrown away with the process: the keys cannot be traced back


def patient_and_study(path: Path) -> tuple[str, str] | None:
    """Two keys, equal for files of one patient and of one study within this process; None where there is no id."""
    import pydicom
    from pydicom import config
    from pydicom.errors import InvalidDicomError

    previous, config.settings.reading_validation_mode = config.settings.reading_validation_mode, config.IGNORE
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["PatientID", "StudyInstanceUID"])
        patient, study = str(header.get("PatientID") or ""), str(header.get("StudyInstanceUID") or "")
    except (InvalidDicomError, OSError, ValueError, AttributeError, EOFError, KeyError, NotImplementedError):
        return None  # an unreadable header is for `prepare` to report; here the file only stands alone
    finally:
        config.settings.reading_validation_mode = previous
    return (_key(patient), _key(f"{patient}\n{study}")) if patient else None


def _key(identifier: str) -> str:
    return hashlib.blake2b(identifier.encode(), key=_SALT, digest_size=16).hexdigest()
