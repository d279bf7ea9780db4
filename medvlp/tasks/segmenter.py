"""`Segmenter`: a fine-tuned segmentation model and its folder: all that inference needs, and no pickled code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor

import medvlp
from medvlp.data.preprocess import Preprocess
from medvlp.io.atomic_write import atomic_folder
from medvlp.models import ImageEncoder, SegmentationNet
from medvlp.tasks.finetune_recipe import FinetuneRecipe
from medvlp.training.model_folder import GENERATED_NOTICE, ModelFolderError, device_named

TASK = "segmentation"


@dataclass
class Segmenter:
    """A segmentation model.

    Attributes:
        net: the network; in eval mode after `load_segmenter`.
        trunk: timm name of its encoder.
        recipe: what it was trained by.
        preprocess: what its images went through.
        generated: trained on generated data, or on an encoder that was.
        card: result of the validation and where the encoder came from; all of card.json.
        device: where `net` is.
    """

    net: SegmentationNet
    trunk: str
    recipe: FinetuneRecipe
    preprocess: Preprocess
    generated: bool
    card: dict[str, Any]
    device: torch.device

    @property
    def structures(self) -> tuple[str, ...]:
        """Names of the masks, in the order of the network's outputs."""
        return self.recipe.structures

    @property
    def notice(self) -> str | None:
        """What must stand on every file made with this model, or None."""
        return GENERATED_NOTICE if self.generated else None

    def probabilities(self, images: Tensor) -> Tensor:
        """Normalized images `[B, 1, H, W]` -> probability of each structure `[B, K, H, W]`."""
        return self.net(images).sigmoid()


def save_segmenter(
    folder: str | Path, segmenter: Segmenter, weights: Mapping[str, Tensor], result: dict[str, Any]
) -> Path:
    """Write `recipe.yaml, model.safetensors, preprocess.json, card.json`, whole or not at all.

    Raises:
        DiskFullError: nothing was replaced.
    """
    card = {
        "medvlp": medvlp.__version__,
        "task": TASK,
        "structures": list(segmenter.structures),
        "trunk": segmenter.trunk,
        "generated": segmenter.generated,
        "notice": segmenter.notice,
        "preprocess": segmenter.preprocess.hash,
        **result,
    }
    with atomic_folder(Path(folder)) as staging:
        tensors = {k: t.detach().cpu().contiguous() for k, t in weights.items()}
        (staging / "model.safetensors").write_bytes(to_bytes(tensors))  # a full disk is an OSError here
        (staging / "recipe.yaml").write_text(segmenter.recipe.to_yaml())
        segmenter.preprocess.save(staging / "preprocess.json")
        (staging / "card.json").write_text(json.dumps(card, indent=2) + "\n")
    return Path(folder)


def is_segmenter(folder: str | Path) -> bool:
    """Whether a folder was written by `medvlp finetune`."""
    card = Path(folder) / "card.json"
    return card.is_file() and json.loads(card.read_text()).get("task") == TASK


def load_segmenter(folder: str | Path, device: str = "auto") -> Segmenter:
    """Load a folder of `medvlp finetune`, in eval mode.

    Raises:
        ModelFolderError: the folder, or a file of it, is missing or damaged, or the weights do not fit the recipe.
    """
    folder = Path(folder)
    files = ("recipe.yaml", "model.safetensors", "preprocess.json", "card.json")
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        raise ModelFolderError(f"{folder} is not a complete segmentation model: {', '.join(missing)} missing.")
    card = json.loads((folder / "card.json").read_text())
    recipe = FinetuneRecipe.load(folder / "recipe.yaml")
    preprocess = Preprocess.load(folder / "preprocess.json")
    encoder = ImageEncoder(card["trunk"], image_size=preprocess.size)
    net = SegmentationNet(encoder, recipe.decoder.name, len(recipe.structures), recipe.decoder.width)
    try:
        net.load_state_dict(load_file(folder / "model.safetensors"))
    except (SafetensorError, RuntimeError) as error:
        raise ModelFolderError(f"The weights of {folder} are damaged or do not fit its recipe: {error}") from error
    target = device_named(device)
    return Segmenter(net.to(target).eval(), card["trunk"], recipe, preprocess, bool(card["generated"]), card, target)
