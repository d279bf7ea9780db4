"""What `folder` takes from DICOM headers: who belongs together, what is shown, and which files are one volume.

Identifiers never leave this file: patient and study become keys that hold within this process alone, and of the other
elements only values out of a list are let through, since a header may have any text anywhere.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from medvlp.data.image_kind import VOLUMETRIC
from medvlp.io.errors import ReadError, as_read_error
from medvlp.io.series import find_volumes
from medvlp.io.walk import find_images

_SALT = secrets.token_bytes(16)  # thrown away with the process: the keys cannot be traced back
_TAGS = (
    *("PatientID", "StudyInstanceUID", "Modality", "ViewPosition", "ViewCodeSequence", "PatientOrientation"),
    *("Laterality", "ImageLaterality", "PatientAge", "PatientSex"),
)
_MODALITIES = {*VOLUMETRIC, "CR", "DX", "DR", "RG", "RF", "XA", "MG", "US", "PX", "IO", "SC", "OT", "SEG", "SR"}
VIEWS = {  # PS3.3 C.8.11.1.1.2 and C.8.7.10: View Position; and what is common instead
    **{name: name for name in ("AP", "PA", "LL", "RL", "RLD", "LLD", "RLO", "LLO", "LATERAL", "CC", "MLO", "ML", "LM")},
    **dict.fromkeys(("LAT", "LATERAL VIEW"), "LATERAL"),
    **dict.fromkeys(("ANTERO-POSTERIOR", "ANTEROPOSTERIOR"), "AP"),
    **dict.fromkeys(("POSTERO-ANTERIOR", "POSTEROANTERIOR"), "PA"),
    "LEFT LATERAL": "LL",
    "RIGHT LATERAL": "RL",
}
_NO_PATIENT = re.compile(r"(anon(ymi[sz]ed|ymous|)|unknown|none|n/?a|patient|test|removed|deidentified|x+|0+|-+)", re.I)
_FEWEST = 3  # slices of a volume; fewer are scouts
_OLDEST = 90


class DicomHeader(NamedTuple):
    """What a header says, without saying who it is; "" for each thing that it does not say.

    Attributes:
        patient, study: equal for files of one patient and of one study within this process.
        modality: of DICOM, such as `DX` or `CT`.
        view: `PA | AP | LATERAL | LL | RL | ...`.
        laterality: `L | R | B`.
        age_band: ten years, such as `40-49`; `90+` above.
        sex: `M | F`.
    """

    patient: str = ""
    study: str = ""
    modality: str = ""
    view: str = ""
    laterality: str = ""
    age_band: str = ""
    sex: str = ""


def read_header(path: Path) -> DicomHeader | None:
    """What a file's header says; None where it is no readable DICOM file."""
    import pydicom
    from pydicom import config
    from pydicom.errors import InvalidDicomError

    previous, config.settings.reading_validation_mode = config.settings.reading_validation_mode, config.IGNORE
    try:
        # `force`: files without preamble; what is none of these has no element that is asked for.
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS), force=True)
        text = {tag: str(header.get(tag) or "").strip() for tag in _TAGS if tag != "ViewCodeSequence"}
        codes = header.get("ViewCodeSequence") or []
        meaning = str(codes[0].get("CodeMeaning") or "") if len(codes) else ""
    except (InvalidDicomError, OSError, ValueError, AttributeError, EOFError, KeyError, NotImplementedError, TypeError):
        return None  # an unreadable header is for `prepare` to report; here the file only stands alone
    finally:
        config.settings.reading_validation_mode = previous
    patient = "" if _NO_PATIENT.fullmatch(text["PatientID"]) else text["PatientID"]
    study = text["StudyInstanceUID"]
    sides = text["ImageLaterality"] or text["Laterality"]
    return DicomHeader(
        patient=_key(patient) if patient else "",
        study=_key(f"{patient}\n{study}") if study else "",
        modality=text["Modality"] if text["Modality"] in _MODALITIES else "",
        view=VIEWS.get(text["ViewPosition"].upper()) or VIEWS.get(meaning.strip().upper(), ""),
        laterality=sides if sides in ("L", "R", "B") else "",
        age_band=age_band(text["PatientAge"]),
        sex=text["PatientSex"] if text["PatientSex"] in ("M", "F") else "",
    )


def age_band(age: str) -> str:
    """Ten years out of an Age String (PS3.5 6.2: `045Y`, `018M`); "" where it is none.

    Examples:
        >>> age_band("045Y"), age_band("018M"), age_band("101Y"), age_band("")
        ('40-49', '0-9', '90+', '')
    """
    match = re.fullmatch(r"(\d{1,3})([YMWD]?)", age)
    if not match:
        return ""
    years = int(match[1]) if match[2] in ("Y", "") else 0
    return f"{_OLDEST}+" if years >= _OLDEST else f"{years // 10 * 10}-{years // 10 * 10 + 9}"


def _key(identifier: str) -> str:
    return hashlib.blake2b(identifier.encode(), key=_SALT, digest_size=16).hexdigest()


@dataclass(frozen=True)
class SeriesRow:
    """One volume of a folder.

    Attributes:
        folder: what `read_volume` reads.
        series: which of its volumes, the largest first; None where there is one.
        first: a file of it, whose header says whose it is.
        left_out: how many slices of the folder are in none of its volumes; 0 but for the folder's first volume.
    """

    folder: Path
    series: int | None
    first: Path
    left_out: int = 0


def series_rows(slices: Iterable[Path]) -> Iterator[SeriesRow]:
    """The volumes that files of a volume's modality belong to, as `medvlp.io.read_volume` will find them again.

    A folder is read with all that lies below it, so slices in a folder and in folders below it are looked at together.
    A folder that cannot be understood is one row, for `prepare` to put into the quarantine table.

    Args:
        slices: DICOM files.
    """
    slices = set(slices)
    holding: dict[Path, Path] = {}
    for path in sorted(slices):
        holding.setdefault(path.parent, path)
    for folder, first in holding.items():
        if any(above in holding for above in folder.parents):
            continue
        try:
            with as_read_error(folder):
                found = find_images(folder).files
                volumes = [volume for volume in find_volumes(found).volumes if len(volume) >= _FEWEST]
        except ReadError:
            volumes = []
        inside = {path for path in slices if folder in path.parents}
        left_out = len(inside - {one.path for volume in volumes for one in volume}) if volumes else 0
        for number, volume in enumerate(volumes or [None]):
            series = number if len(volumes) > 1 else None
            yield SeriesRow(folder, series, volume[0].path if volume else first, left_out if number == 0 else 0)
