"""Files and folders of people -> pixels for a model, in order, a few at a time; a bad file is a row with its reason."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medvlp.data.prefetch import prefetch
from medvlp.data.preprocess import Preprocess
from medvlp.io import Image, ReadError, read_image

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
