"""`ModelOutputs`: scores, vectors and heat maps of some rows of a store, from one pass of a model's trunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from medvlp.data.store import Store
from medvlp.tasks.inference import run_rows
from medvlp.training.model_folder import TrainedModel

_SCORES, _VECTORS = "scores", "vectors"


@dataclass(frozen=True, eq=False)
class ModelOutputs:
    """What evaluations ask of a model, row by row.

    Attributes:
        rows: positions in the store's table, ascending, `[N]`.
        scores: float32 `[N, F]`.
        vectors: unit vectors `[N, D]`; None where the method reads no text.
        maps: phrase -> heat maps `[N, h, w]`.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    vectors: NDArray[np.float32] | None
    maps: dict[str, NDArray[np.float32]]

    def at(self, rows: NDArray[np.integer]) -> NDArray[np.int64]:
        """Where some of the rows stand among these.

        Raises:
            KeyError: a row that is none of these.
        """
        found = np.searchsorted(self.rows, rows)
        if len(rows) and (found.max() >= len(self.rows) or not np.array_equal(self.rows[found], rows)):
            raise KeyError("a row was asked that the model has not read")
        return found


def predict_rows(
    model: TrainedModel, store: Store, rows: NDArray[np.int64], findings: Sequence[str], phrases: Sequence[str] = ()
) -> ModelOutputs:
    """Score findings, and for a method that reads text embed the images and point at phrases.

    Raises:
        KeyError: a finding that the method cannot score.
    """
    method = model.method
    shapes: dict[str, tuple[int, ...]] = {}

    def forward(images: Tensor) -> Tensor:
        features = method.image_encoder(images)  # once, for all that is read from it
        outputs = {_SCORES: method.score_encoded(features, findings)}
        if method.reads_text:
            outputs[_VECTORS] = F.normalize(method.project_images(features).global_, dim=-1)
            outputs |= {f"map {phrase}": method.heat_map_encoded(features, phrase) for phrase in phrases}
        shapes.update({name: tuple(output.shape[1:]) for name, output in outputs.items()})
        return torch.cat([output.float().flatten(1) for output in outputs.values()], dim=1)

    flat = run_rows(forward, store, rows, model.device)
    bounds = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])[:-1]
    parts = {
        name: part.reshape(len(rows), *shapes[name])
        for name, part in zip(shapes, np.split(flat, bounds, axis=1), strict=True)
    }
    scores, vectors = parts.pop(_SCORES), parts.pop(_VECTORS, None)
    return ModelOutputs(rows, scores, vectors, {name.removeprefix("map "): part for name, part in parts.items()})
