"""Unit vectors of images and texts in the space that they share."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from medvlp.data.store import Store
from medvlp.io import ReadError
from medvlp.methods.base import Method
from medvlp.models import ImageFeatures
from medvlp.tasks.admission import Admission, TaskError
from medvlp.tasks.image_files import ImageSource
from medvlp.tasks.inference import Forward, Progress, run_files, run_rows
from medvlp.training.model_folder import TrainedModel

_log = logging.getLogger(__name__)


def embed_rows(
    model: TrainedModel,
    store: Store,
    rows: NDArray[np.integer],
    progress: Progress | None = None,
    batch_size: int = 64,
) -> NDArray[np.float32]:
    """Images of a store -> unit vectors `[len(rows), D]`."""
    return run_rows(image_vectors(model), store, rows, model.device, batch_size, progress)


def embed_images(
    model: TrainedModel, sources: Sequence[ImageSource], admission: Admission | None = None
) -> NDArray[np.float32]:
    """Files, or images in memory -> unit vectors `[N, D]`; remarks on images are logged.

    Raises:
        ReadError: a file cannot be read or is refused; there is no vector for it.
    """
    vectors = []
    admission = admission or Admission.of(model)
    ran = run_files(
        partial(_unit_vectors, model.method),
        sources,
        model.preprocess,
        model.device,
        encode=model.method.image_encoder,
        admission=admission,
    )
    for file, vector in ran:
        if vector is None:
            raise ReadError(file.path, file.status)
        if file.remarks:
            _log.warning(f"{file.path or 'the image'}: {file.remark}")
        vectors.append(vector)
    return np.stack(vectors)


@torch.no_grad()
def embed_texts(
    model: TrainedModel, texts: Sequence[str], batch_size: int = 64, progress: Progress | None = None
) -> NDArray[np.float32]:
    """Texts -> unit vectors `[N, D]`. Texts of like length go together, so that little is spent on padding.

    Raises:
        TaskError: the method reads no text.
    """
    require_text(model)
    order = np.argsort([len(text) for text in texts], kind="stable")
    vectors: NDArray[np.float32] | None = None
    for start in range(0, len(texts), batch_size):
        chosen = order[start : start + batch_size]
        part = F.normalize(model.method.encode_texts([texts[i] for i in chosen]).global_, dim=-1).float().cpu().numpy()
        vectors = np.empty((len(texts), part.shape[1]), np.float32) if vectors is None else vectors
        vectors[chosen] = part
        if progress:
            progress(start + len(chosen), len(texts))
    if vectors is None:
        raise TaskError("no text to embed")
    return vectors


def require_text(model: TrainedModel) -> None:
    """Refuse a method without a text tower.

    Raises:
        TaskError: names the method and what to use instead.
    """
    if not model.method.reads_text:
        raise TaskError(
            f"the method {model.recipe.method} is trained without text and cannot compare images with words; "
            "use a vision-language method such as devide or clip"
        )


def image_vectors(model: TrainedModel) -> Forward:
    """A function from normalized images to their unit vectors `[B, D]`."""

    return lambda images: _unit_vectors(model.method, model.method.image_encoder(images))


def _unit_vectors(method: Method, features: ImageFeatures) -> Tensor:
    """Features of the image encoder -> `[B, D]` in the space of texts."""
    return F.normalize(method.project_images(features).global_, dim=-1)
