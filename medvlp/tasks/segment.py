"""Masks of files, at the size of the files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from medvlp.io import Image
from medvlp.tasks.admission import Admission
from medvlp.tasks.image_files import ImageSource, ReadFile
from medvlp.tasks.inference import Progress, run_files
from medvlp.training.finetuning import FinetunedModel
from medvlp.training.heads.segmentation import THRESHOLD


@dataclass(frozen=True, eq=False)
class SegmentedFile:
    """What became of one file.

    Attributes:
        file: how it was read; `file.path`, `file.status` (`ok`, or why there is no mask), `file.remark`.
        image: at its original size, or None where it could not be read.
        masks: structure -> bool `[H, W]` of the image's own size; empty where it could not be read.
    """

    file: ReadFile
    image: Image | None = None
    masks: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    def areas(self) -> dict[str, float]:
        """Share of the image that each structure covers, and its area in square centimeters where spacing is known."""
        values: dict[str, float] = {}
        for name, mask in self.masks.items():
            values[f"{name}_share"] = float(mask.mean())
            spacing = self.image.spacing if self.image else None
            values[f"{name}_cm2"] = float(mask.sum() * spacing[0] * spacing[1] / 100) if spacing else float("nan")
        return values


def segment_files(
    segmenter: FinetunedModel,
    sources: Sequence[ImageSource],
    *,
    admission: Admission | None = None,
    batch_size: int = 8,
    progress: Progress | None = None,
) -> Iterator[SegmentedFile]:
    """Segment files one after the other; a bad file is given with its reason.

    Probabilities, not masks, are brought to the original size, so that outlines stay smooth; the threshold is 0.5.
    """
    ran = run_files(
        segmenter.probabilities,
        sources,
        segmenter.preprocess,
        segmenter.device,
        admission=admission or Admission.of(segmenter),
        keep_image=True,
        batch_size=batch_size,
        progress=progress,
    )
    for file, probabilities in ran:
        if probabilities is None or file.image is None:
            yield SegmentedFile(file)
            continue
        height, width = file.image.array.shape
        masks = {
            name: segmenter.preprocess.to_original(p, (height, width)) >= THRESHOLD
            for name, p in zip(segmenter.outputs, probabilities, strict=True)
        }
        yield SegmentedFile(file, file.image, masks)
