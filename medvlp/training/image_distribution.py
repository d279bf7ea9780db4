"""`ImageDistribution`: what a model's own training images look like, so that a picture unlike them is recognized."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save as to_bytes
from torch import Tensor

from medvlp.data.store import Store
from medvlp.io.atomic_write import atomic_file

if TYPE_CHECKING:
    from medvlp.training.model_folder import LoadedModel
    from medvlp.training.recipe import RunRecipe

FILE = "training_images.safetensors"
UNLIKE = "unlike the training images"
_TRAINING, _VALIDATION = 1024, 512  # images of each that are read
_QUANTILE = 0.99
_COMPONENTS = 64
_FEWEST = 10  # images, of which a spread can be said
_TENSORS = ("mean", "scale", "axes", "variances")


@dataclass(frozen=True, eq=False)
class ImageDistribution:
    """How features of training images are spread, and how far from their middle a validation image may lie.

    The distance is Mahalanobis' (Lee et al. 2018, "A simple unified framework for detecting out-of-distribution
    samples"), squared, with the covariance of Ledoit and Wolf (2004): the principal components as they are, all else at
    the mean of what is left. The limit is the 99th percentile of validation images, never of what is tested.

    Attributes:
        mean, scale: `[F]`, of the features. axes: `[F, K]`, principal components. variances: `[K]`, along them.
        rest: variance along every other axis.
        limit: the largest distance of an image that is like them.
        views: views of the training images.
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    axes: NDArray[np.float32]
    variances: NDArray[np.float32]
    rest: float
    limit: float
    views: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls, training: NDArray[np.float32], validation: NDArray[np.float32], views: tuple[str, ...] = ()
    ) -> ImageDistribution:
        """Of features `[M, F]` of training and `[V, F]` of validation images.

        Examples:
            >>> random = np.random.default_rng(0)
            >>> known = ImageDistribution.fit(random.normal(size=(99, 8)), random.normal(size=(99, 8)))
            >>> known.unlike(np.array([[0.0] * 8, [9.0] * 8])).tolist()
            [False, True]
        """
        from sklearn.covariance import ledoit_wolf_shrinkage

        mean, scale = training.mean(axis=0), training.std(axis=0) + 1e-6
        scaled = ((training - mean) / scale).astype(np.float64)
        shrinkage = float(ledoit_wolf_shrinkage(scaled))
        _, values, directions = np.linalg.svd(scaled, full_matrices=False)
        variances = values**2 / len(scaled)
        floor = shrinkage * variances.sum() / scaled.shape[1]
        left = variances[_COMPONENTS:]
        fitted = cls(
            mean.astype(np.float32),
            scale.astype(np.float32),
            directions[:_COMPONENTS].T.astype(np.float32),
            ((1 - shrinkage) * variances[:_COMPONENTS] + floor).astype(np.float32),
            rest=float((1 - shrinkage) * (left.mean() if len(left) else 0) + floor) or 1.0,
            limit=float("inf"),
            views=views,
        )
        return replace(fitted, limit=float(np.quantile(fitted.distance(validation), _QUANTILE)))

    def distance(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Features `[N, F]` -> squared distance `[N]` from the middle of the training images."""
        scaled = ((features - self.mean) / self.scale).astype(np.float64)
        along = scaled @ self.axes
        across = (scaled**2).sum(axis=1) - (along**2).sum(axis=1)
        distance: NDArray[np.float64] = (along**2 / self.variances).sum(axis=1) + across.clip(0) / self.rest
        return distance

    def unlike(self, features: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which of the images `[N, F]` lie beyond the limit."""
        return self.distance(features) > self.limit

    def save(self, folder: Path) -> None:
        """Write `training_images.safetensors` into a model folder; it holds nothing of a single image."""
        tensors = {name: np.ascontiguousarray(getattr(self, name)) for name in _TENSORS}
        about = {name: json.dumps(getattr(self, name)) for name in ("rest", "limit", "views")}
        with atomic_file(folder / FILE) as partial:
            partial.write_bytes(to_bytes(tensors, about))

    @classmethod
    def load(cls, folder: Path) -> ImageDistribution | None:
        """What `save` wrote; None in a folder of an older version."""
        if not (folder / FILE).is_file():
            return None
        with safe_open(folder / FILE, "numpy") as file:
            about = file.metadata()
            tensors = {name: file.get_tensor(name) for name in _TENSORS}
        rest, limit, views = (json.loads(about[name]) for name in ("rest", "limit", "views"))
        return cls(**tensors, rest=rest, limit=limit, views=tuple(views))


def map_statistics(coarsest: Tensor) -> Tensor:
    """Means and standard deviations over an image of a network's coarsest map: `[B, C, h, w]` -> `[B, 2 C]`."""
    return torch.cat([coarsest.mean((2, 3)), coarsest.std((2, 3), correction=0)], dim=1)


@torch.no_grad()
def coarsest_map(trunk: Any, images: Tensor) -> Tensor:
    """The last map of a timm network, `[B, 1, H, W]` -> `[B, C, h, w]`; also the last of `ImageFeatures.pyramid`."""
    coarsest: Tensor = trunk.forward_intermediates(images, indices=1, output_fmt="NCHW", intermediates_only=True)[-1]
    return coarsest


def describe_training_images(folder: Path, store: Store, recipe: RunRecipe, device: str = "cpu") -> None:
    """Write into a model's folder what its training rows look like to it, with the limit from its validation rows.

    Nothing is written where there are too few, or where the image encoder is no timm network. The images are drawn
    evenly over the data sets of the store, so that a small one is not taken for an outlier.
    """
    data = recipe.data
    splits = ((data.train_split, _TRAINING), (data.validate_split, _VALIDATION))
    chosen = [_drawn(store, store.rows(split, data.views), count) for split, count in splits]
    (folder / FILE).unlink(missing_ok=True)
    if min(map(len, chosen)) < _FEWEST:
        return
    from medvlp.training.finetuning import load_finetuned
    from medvlp.training.model_folder import PRETRAINING, ModelFolder, load_model

    model = (load_model if ModelFolder(folder).kind == PRETRAINING else load_finetuned)(folder, device)
    if not hasattr(model.trunk, "forward_intermediates"):  # a registered encoder that is no timm network
        return
    views = store.table["view"].iloc[store.rows(data.train_split, data.views)].astype(str)
    training, validation = (_statistics_of_rows(model, store, rows) for rows in chosen)
    ImageDistribution.fit(training, validation, tuple(sorted(set(views) - {""}))).save(folder)


def _drawn(store: Store, rows: NDArray[np.integer], count: int) -> NDArray[np.integer]:
    """At most `count` rows, the same every time: as many of each data set as it has, up to an equal part."""
    random = np.random.default_rng(0)
    sources = store.table["source"].to_numpy(object)[rows]
    groups = [random.permutation(rows[sources == source]) for source in sorted(set(sources))]
    groups.sort(key=len)
    chosen: list[NDArray[np.integer]] = []
    for left, group in enumerate(groups):
        chosen.append(group[: (count - sum(map(len, chosen))) // (len(groups) - left)])
    return np.sort(np.concatenate(chosen)) if chosen else rows[:0]


def _statistics_of_rows(model: LoadedModel, store: Store, rows: NDArray[np.integer]) -> NDArray[np.float32]:
    parts = []
    for start in range(0, len(rows), 64):
        pixels = torch.from_numpy(store.images(rows[start : start + 64])).to(model.device)
        coarsest = coarsest_map(model.trunk, store.preprocess.normalize(pixels))
        parts.append(map_statistics(coarsest).float().cpu().numpy())
    return np.concatenate(parts)
