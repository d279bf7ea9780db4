"""Files and folders of people -> pixels for a model, in order, a few at a time; a bad file is a row with its reason."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medvlp.data.prefetch import prefetch
from medvlp.data.preprocess import Preprocess
from medvlp.io import Image, ReadError, read_image

SUFFIXES = frozenset({".dcm", ".dicom", ".ima", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".jp2"})
_DICOM_MARK = (128, b"DICM")  # PS3.10 7.1: preamble of 128 bytes, then these four

ImageSource = str | Path | Image


@dataclass(frozen=True, eq=False)
class ReadFile:
    """What became of one file.

    Attributes:
        path: as it was given; "" for an image that came from memory.
        status: `ok`, or the reason why it could not be read.
        pixels: uint8 `[size, size]`, or None.
        image: at its original size, where it was asked for.
    """

    path: str
    status: str
    pixels: NDArray[np.uint8] | None = None
    image: Image | None = None


def find_files(paths: Iterable[str | Path]) -> list[Path]:
    """Files as given, folders walked.

    A file that is named is taken whatever it is, a missing one too, so that the answer has a row that says so. Inside a
    folder only images are taken: by their suffix, or DICOM files without one. Hidden files are left out.

    Returns:
        Paths in the order given, those of a folder sorted.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = (p for p in path.rglob("*") if not any(part.startswith(".") for part in p.relative_to(path).parts))
            found += sorted(p for p in inside if p.is_file() and _is_image(p))
        else:
            found.append(path)
    return found


def read_files(sources: Sequence[ImageSource], preprocess: Preprocess, keep_image: bool = False) -> Iterator[ReadFile]:
    """Read and prepare images in threads, in order, at most a few ahead: memory does not grow with their number.

    Args:
        sources: files, or images in memory.
        preprocess: of the model.
        keep_image: also give the image at its original size (30 MB for a radiograph of 3000 x 2500).
    """
    workers = min(8, (os.cpu_count() or 1) + 1)
    return prefetch(lambda source: _read(source, preprocess, keep_image), sources, workers, 2 * workers, "read")


def _read(source: ImageSource, preprocess: Preprocess, keep_image: bool) -> ReadFile:
    path = "" if isinstance(source, Image) else str(source)
    try:
        image = source if isinstance(source, Image) else read_image(source)
    except ReadError as error:
        return ReadFile(path, error.reason)
    if image.array.ndim != 2:
        return ReadFile(path, "a volume; this model reads radiographs")
    return ReadFile(path, "ok", preprocess.apply(image), image if keep_image else None)


def _is_image(path: Path) -> bool:
    if path.suffix:
        # A DICOM UID as a name, such as 1.2.840.113619, looks like a suffix made of digits.
        return path.suffix.lower() in SUFFIXES or (path.suffix[1:].isdigit() and _has_dicom_mark(path))
    return _has_dicom_mark(path)


def _has_dicom_mark(path: Path) -> bool:
    at, mark = _DICOM_MARK
    with path.open("rb") as file:
        file.seek(at)
        return file.read(len(mark)) == mark
