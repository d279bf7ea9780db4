"""Batches through a model without gradients: rows of a store, or files that may fail one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medvlp.data.preprocess import Preprocess
from medvlp.data.store import Store
from medvlp.models import ImageFeatures
from medvlp.tasks.admission import Admission, TaskError
from medvlp.tasks.image_files import ImageSource, ReadFile, read_files

Progress = Callable[[int, int], None]
"""Called with how many are done and how many there are."""

Forward = Callable[[Tensor], Tensor]
"""Normalized images `[B, 1, H, W]` on the model's device -> `[B, ...]`."""

Item = TypeVar("Item")


def batches_of(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of `size` items; the last may be shorter."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


@torch.no_grad()
def run_rows(
    forward: Forward,
    store: Store,
    rows: NDArray[np.integer],
    device: torch.device,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """`forward` over rows of a store: float32 `[len(rows), ...]`, in their order."""
    parts: list[NDArray[np.float32]] = []
    for start in range(0, len(rows), batch_size):
        pixels = torch.from_numpy(store.images(rows[start : start + batch_size])).to(device)
        parts.append(forward(store.preprocess.normalize(pixels)).float().cpu().numpy())
        if progress:
            progress(min(start + batch_size, len(rows)), len(rows))
    if not parts:
        raise TaskError(f"no image to work on: the rows asked of {store.path} are none")
    return np.concatenate(parts)


@torch.no_grad()
def run_files(
    forward: Callable[[Any], Tensor],
    sources: Sequence[ImageSource],
    preprocess: Preprocess,
    device: torch.device,
    *,
    encode: Callable[[Tensor], ImageFeatures] | None = None,
    admission: Admission | None = None,
    keep_image: bool = False,
    batch_size: int = 16,
    progress: Progress | None = None,
) -> Iterator[tuple[ReadFile, NDArray[np.float32] | None]]:
    """`forward` over files: each file with its row of the output, or with None and a status that says why not.

    What a file says of itself is checked before, and its looks beside, by `admission`; without one, by what every
    model refuses. An object of several frames may give several files. With `encode`, the model's image encoder,
    `forward` is given its features instead of images, and the check of looks reads the same ones.
    """
    admission = admission or Admission()
    done = 0
    for batch in batches_of(read_files(sources, preprocess, admission, keep_image), batch_size):
        pixels = [file.pixels for file in batch if file.pixels is not None]
        outputs: Iterator[NDArray[np.float32]] = iter(())
        looks: Iterator[list[str]] = iter(())
        if pixels:
            images = preprocess.normalize(torch.from_numpy(np.stack(pixels)).to(device))
            features = encode(images) if encode else None
            outputs = iter(forward(images if features is None else features).float().cpu().numpy())
            looks = iter(admission.check_looks(images, features))
        for file in batch:
            if file.pixels is None:
                yield file, None
            else:
                yield replace(file, remarks=(*file.remarks, *next(looks))), next(outputs)
        done += len(batch)
        if progress:
            progress(min(done, len(sources)), len(sources))
