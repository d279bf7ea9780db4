"""What a file or a folder is and what reading does to its values, without anything that identifies a patient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medvlp.io.decoders import syntax_name
from medvlp.io.dicom_file import open_dicom
from medvlp.io.errors import FormatError, ReadError, as_read_error, open_file
from medvlp.io.header import read_header
from medvlp.io.image import Image
from medvlp.io.pixel_layout import read_layout
from medvlp.io.readers import read_image, read_volume
from medvlp.io.series import find_volumes
from medvlp.io.walk import find_images


@dataclass(frozen=True, eq=False)
class FileInfo:
    """`facts` are for print and JSON; `image` is what was read, None where `reason` says why not."""

    path: Path
    facts: dict[str, Any]
    image: Image | None = None
    reason: str = ""
    parts: list[FileInfo] = field(default_factory=list)


def inspect_path(path: str | Path, progress: Callable[[int, int], None] = lambda done, total: None) -> FileInfo:
    """Describe a file; or a folder, as a volume where its DICOM files make one, else file by file.

    Args:
        path: what to look at.
        progress: called with (done, total) after each file of a folder.

    Raises:
        ReadError: there is nothing at `path`.

    Examples:
        >>> from pydicom.data import get_testdata_file
        >>> inspect_path(get_testdata_file("CT_small.dcm")).facts["object"]
        'CT Image Storage'
    """
    path = Path(path)
    if not path.is_dir():
        with as_read_error(path), open_file(path):
            return _file(path)
    found = find_images(path)
    files = found.files
    sizes = _volumes_of(path, files)
    if sizes:
        return _volume(path, sizes)
    parts = []
    for done, file in enumerate(files, 1):
        parts.append(_file(file))
        progress(done, len(files))
    refused = sum(part.image is None for part in parts)
    facts = {"kind": "folder", "files": len(files), "refused": refused}
    if found.left_out:
        facts["left out"] = [f"{count} {reason}" for reason, count in found.left_out.most_common()]
    return FileInfo(path, facts, parts=parts)


def _volumes_of(path: Path, files: list[Path]) -> list[int]:
    """Slices of each volume, where most files of the folder are slices of volumes; else []."""
    try:
        with as_read_error(path):
            volumes = find_volumes(files).volumes
    except ReadError:
        return []  # a damaged file: described one by one, it says itself what is wrong with it
    in_volumes = {one.path for volume in volumes if len(volume) > 2 for one in volume}
    return [len(volume) for volume in volumes] if 2 * len(in_volumes) > len(files) else []


def _volume(path: Path, sizes: list[int]) -> FileInfo:
    facts: dict[str, Any] = {"kind": "DICOM series", "slices of volumes": sizes}
    try:
        image = read_volume(path, series=0)
    except ReadError as error:
        return FileInfo(path, {**facts, "refused": error.reason}, reason=error.reason)
    return FileInfo(path, {**facts, **_of_image(image)}, image)


def _file(path: Path) -> FileInfo:
    facts: dict[str, Any] = {"kind": "unknown"}
    try:
        with as_read_error(path):
            facts = _of_header(path)
        volumetric = path.name.lower().endswith((".nii", ".nii.gz"))
        image = read_volume(path) if volumetric else read_image(path)
    except ReadError as error:
        return FileInfo(path, {**facts, "refused": error.reason}, reason=error.reason)
    return FileInfo(path, {**facts, **_of_image(image)}, image)


def _of_header(path: Path) -> dict[str, Any]:
    """Facts of a DICOM header that reading does not change; the kind alone for other files."""
    header = read_header(path)
    if header.kind != "dicom":
        return {"kind": "NIfTI" if header.kind == "nifti" else "picture"}
    file = open_dicom(path)
    facts: dict[str, Any] = {
        "kind": "DICOM",
        "object": header.sop_class_name or "not known",
        "transfer syntax": syntax_name(file.syntax),
    }
    if not file.pixel_kind:
        raise FormatError(f"{facts['object']}: a DICOM object without pixels")
    layout = read_layout(file)
    bits = f"{layout.bits_stored} of {layout.bits_allocated}" if layout.kind == "integer" else layout.kind
    return facts | {
        "stored": f"{layout.rows} x {layout.columns}, {layout.photometric}",
        "bits": f"{bits}{', signed' if layout.signed and layout.kind == 'integer' else ''}",
        "frames": layout.frames,
        "body part": header.body_part,
        "laterality": header.laterality,
        "burned-in text": {True: "yes", False: "no", None: ""}[header.burned_in_annotation],
    }


def _of_image(image: Image) -> dict[str, Any]:
    array = image.array
    return {
        "modality": image.modality,
        "view": image.view,
        "shape": list(array.shape),
        "spacing mm": None if image.spacing is None else [round(value, 4) for value in image.spacing],
        "orientation": image.orientation,
        "smallest": round(float(array.min()), 4),
        "largest": round(float(array.max()), 4),
        "mean": round(float(array.mean()), 4),
        "steps": list(image.steps),
    }
