"""Files and folders of people -> pixels for a model, in order, a few at a time; a bad file is a row with its reason."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvlp.data.prefetch import prefetch
from medvlp.data.preprocess import Preprocess
from medvlp.io import Image, ReadError, read_image
from medvlp.tasks.admission import Admission

ImageSource = str | Path | Image


@dataclass(frozen=True, eq=False)
class ReadFile:
    """What became of one file.

    Attributes:
        path: as it was given; "" for an image that came from memory.
        status: `ok`, or the reason why it could not be read or was refused.
        pixels: uint8 `[size, size]`, or None.
        image: at its original size, where it was asked for.
        modality, view: of its header; "" where it could not be read.
        frame: number of the frame, from 1, of an object of several.
        frames: how many the object has.
        remarks: what a reader of the answer has to know of an image that was admitted.
    """

    path: str
    status: str
    pixels: NDArray[np.uint8] | None = None
    image: Image | None = None
    modality: str = ""
    view: str = ""
    frame: int | None = None
    frames: int = 1
    remarks: tuple[str, ...] = ()

    def columns(self) -> dict[str, Any]:
        """`path, modality, view, frame`, as the tables of all verbs begin."""
        return {"path": self.path, "modality": self.modality, "view": self.view, "frame": self.frame}

    @property
    def remark(self) -> str:
        """The remarks as one cell of a table."""
        return "; ".join(self.remarks)


def read_files(
    sources: Sequence[ImageSource], preprocess: Preprocess, admission: Admission, keep_image: bool = False
) -> Iterator[ReadFile]:
    """Read, check and prepare images in threads, in order, at most a few ahead: memory does not grow with their number.

    Args:
        sources: files, or images in memory.
        preprocess: of the model.
        admission: refuses by the header; says whether all frames of an object are read, or its first.
        keep_image: also give the image at its original size (30 MB for a radiograph of 3000 x 2500).
    """
    workers = min(8, (os.cpu_count() or 1) + 1)

    def read(source: ImageSource) -> list[ReadFile]:
        first = _read(source, None, preprocess, admission, keep_image)
        if isinstance(source, Image) or admission.frames == "first" or first.frame is None:
            return [first]
        later = range(1, first.frames)
        return [first, *(_read(source, frame, preprocess, admission, keep_image) for frame in later)]

    for files in prefetch(read, sources, workers, 2 * workers, "read"):
        yield from files


def shown_path(path: str | Path) -> str:
    """A path as it can be printed and written: bytes that are no UTF-8 as `\\xe9`."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _read(
    source: ImageSource, frame: int | None, preprocess: Preprocess, admission: Admission, keep_image: bool
) -> ReadFile:
    path = "" if isinstance(source, Image) else shown_path(source)
    try:
        image = source if isinstance(source, Image) else read_image(source, frame=frame)
    except ReadError as error:
        return ReadFile(path, error.reason, frame=None if frame is None else frame + 1)
    number = None if image.frame is None else image.frame + 1
    header: dict[str, Any] = {"modality": image.modality, "view": image.view, "frame": number, "frames": image.frames}
    if image.array.ndim != 2:
        return ReadFile(path, "a volume; this model reads radiographs", **header)
    reason, remarks = admission.check_header(image)
    if reason:
        return ReadFile(path, reason, **header)
    pixels = preprocess.apply(image)
    return ReadFile(path, "ok", pixels, image if keep_image else None, **header, remarks=tuple(remarks))
