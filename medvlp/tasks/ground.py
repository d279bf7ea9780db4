"""Where in an image a phrase is: a heat map at the size of the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvlp.io import Image
from medvlp.tasks.errors import TaskError
from medvlp.tasks.heat_maps import HeatKind, heat_map_of
from medvlp.tasks.image_files import ImageSource
from medvlp.tasks.inference import Progress, run_files
from medvlp.training.model_folder import TrainedModel


@dataclass(frozen=True, eq=False)
class GroundedFile:
    """What became of one file.

    Attributes:
        path: as it was given; "" for an image from memory.
        status: `ok`, or the reason why it could not be read.
        image: at its original size, or None where it could not be read.
        heat: float32 `[H, W]` of the image's own size, larger is likelier; None where it could not be read.
    """

    path: str
    status: str
    image: Image | None = None
    heat: NDArray[np.float32] | None = None


def ground_files(
    model: TrainedModel,
    sources: Sequence[ImageSource],
    phrase: str,
    *,
    kind: HeatKind = "phrase",
    batch_size: int = 8,
    progress: Progress | None = None,
) -> Iterator[GroundedFile]:
    """Heat maps of one phrase on several files, of a kind of `heat_map_of`; a bad file is given with its reason.

    Raises:
        TaskError: the phrase is empty, or the method cannot make such a map of it.
    """
    if not phrase.strip():
        raise TaskError("the phrase is empty; say what to look for, such as 'left pleural effusion'")

    forward = heat_map_of(model, phrase, kind)
    ran = run_files(
        forward, sources, model.preprocess, model.device, keep_image=True, batch_size=batch_size, progress=progress
    )
    for file, heat in ran:
        if heat is None or file.image is None:
            yield GroundedFile(file.path, file.status)
            continue
        height, width = file.image.array.shape
        yield GroundedFile(file.path, file.status, file.image, model.preprocess.to_original(heat, (height, width)))
