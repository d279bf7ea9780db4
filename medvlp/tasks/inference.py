"""Batches through a model without gradients: rows of a store, or files that may fail one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medvlp.data.preprocess import Preprocess
from medvlp.data.store import Store
from medvlp.errors import MedVLPError
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
    forward: Forward,
    sources: Sequence[ImageSource],
    preprocess: Preprocess,
    device: torch.device,
    *,
    keep_image: bool = False,
    batch_size: int = 16,
    progress: Progress | None = None,
) -> Iterator[tuple[ReadFile, NDArray[np.float32] | None]]:
    """`forward` over files: each file with its row of the output, or with None and a status that says why not."""
    done = 0
    for batch in batches_of(read_files(sources, preprocess, keep_image), batch_size):
        pixels = [file.pixels for file in batch if file.pixels is not None]
        outputs: Iterator[NDArray[np.float32]] = iter(())
        if pixels:
            images = preprocess.normalize(torch.from_numpy(np.stack(pixels)).to(device))
            outputs = iter(forward(images).float().cpu().numpy())
        for file in batch:
            yield file, None if file.pixels is None else next(outputs)
        done += len(batch)
        if progress:
            progress(done, len(sources))


class TaskError(MedVLPError, ValueError):
    """A request that a model, a store or an index cannot meet; the message says what does not fit and what to do."""
