"""`finetune`: a head on a pretrained encoder (or one from scratch), trained by the engine; and the model it leaves."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from pydantic import ValidationError
from torch import Tensor, nn

from medvlp.data.store import Store
from medvlp.errors import MedVLPError, did_you_mean
from medvlp.models import build_image_encoder
from medvlp.registry import UnknownMemberError
from medvlp.training.assemble import check_hub, timm_repository
from medvlp.training.checkpoint import RunState
from medvlp.training.engine import train
from medvlp.training.finetune_recipe import FinetuneRecipe
from medvlp.training.heads import Head, heads
from medvlp.training.image_distribution import ImageDistribution
from medvlp.training.model_folder import (
    PRETRAINING,
    LoadedModel,
    ModelFolder,
    ModelFolderError,
    check_preprocessing,
    device_named,
    load_model,
)
from medvlp.training.recipe_errors import RecipeError, explain


def finetune(recipe: FinetuneRecipe, out: str | Path, resume: bool = False, progress: bool = True) -> Path:
    """Fine-tune the recipe's head with `medvlp.training.engine.train`; returns the model folder `out`.

    Args:
        recipe, out, resume, progress: as in `train`, with the same errors.

    Returns:
        The folder, which `medvlp.load` takes; one of segmentation also `medvlp segment` and
        `medvlp evaluate --task segmentation`, one of classification `medvlp label`.

    Raises:
        ModelFolderError: `encoder.model` is no model that can be loaded.
    """
    head_and_options(recipe)  # refused before any data are read
    return train(recipe, out, build_head, resume, progress)


def head_and_options(recipe: FinetuneRecipe) -> tuple[type[Head], Any]:
    """The recipe's head and its validated options.

    Raises:
        RecipeError: an unknown head or option; names the nearest.
    """
    try:
        head = heads.get(recipe.task)
    except UnknownMemberError as error:
        raise RecipeError(f"task: {error}") from error
    try:
        return head, head.Options(**recipe.options)
    except ValidationError as error:
        raise RecipeError(explain(error, head.Options, "options")) from error


def build_head(recipe: FinetuneRecipe, store: Store, state: RunState | None, fabric: Fabric) -> Head:
    """The untrained head of a recipe on its encoder. The same recipe and store give the same weights.

    Raises:
        RecipeError: an unknown decoder or encoder name, or a store that was prepared otherwise than the images of the
            pretrained model.
    """
    kind, options = head_and_options(recipe)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        try:
            encoder, card, generated = _encoder(recipe, store)
            return kind(encoder, options, recipe, store, fabric, card, generated)
        except ValueError as error:
            if isinstance(error, MedVLPError):
                raise
            raise RecipeError(str(error)) from error


def _encoder(recipe: FinetuneRecipe, store: Store) -> tuple[Any, dict[str, Any], bool]:
    """The encoder of a recipe, what builds its like, and whether it was pretrained on generated data."""
    source, size, generated = recipe.encoder, store.letterbox.size, False
    if source.model is None:
        card: dict[str, Any] = {"name": source.name, "dim": None, "patch_stride": 16}
        if source.pretrained:
            check_hub("encoder.pretrained", timm_repository(source.name))
        encoder = _new_encoder(card, size, source.pretrained)
    else:
        model = load_model(source.model, "cpu")
        check_preprocessing(store, model.preprocess)
        card = model.recipe.image_encoder.model_dump(include={"name", "dim", "patch_stride"})
        encoder, generated = copy.deepcopy(model.method.image_encoder), model.generated
        encoder.patch_dropping = 0.0  # a head needs every patch
        if source.scratch:
            encoder, generated = _new_encoder(card, size), False
    return encoder, card | {"dim": encoder.dim}, generated


def _new_encoder(card: Mapping[str, Any], image_size: int, pretrained: bool = False) -> Any:
    return build_image_encoder(**card, image_size=image_size, pretrained=pretrained, patch_dropping=0.0)


class UnknownOutputError(MedVLPError, KeyError):
    """A finding that a fine-tuned model was not trained on; names the nearest."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass
class FinetunedModel(LoadedModel):
    """A loaded fine-tuned model.

    Attributes:
        net: in eval mode; normalized images `[B, 1, H, W]` -> logits `[B, K, ...]`.
        recipe: as saved.
        outputs: names of its K outputs: structures of a segmentation, findings of a classification.
    """

    net: nn.Module
    recipe: FinetuneRecipe
    outputs: tuple[str, ...]

    @property
    def trunk(self) -> nn.Module:
        encoder = getattr(self.net, "encoder", self.net)
        return cast(nn.Module, getattr(encoder, "trunk", encoder))

    @property
    def task(self) -> str:
        """`segmentation`, `classification`, ..."""
        return self.recipe.task

    @property
    def findings(self) -> tuple[str, ...]:
        """The outputs of a classification."""
        return self.outputs

    def score(self, images: Tensor, findings: Sequence[str]) -> Tensor:
        """Normalized images `[B, 1, H, W]` -> probability `[B, F]` of some of its outputs.

        Raises:
            UnknownOutputError: none of its outputs; names the nearest.
        """
        for finding in findings:
            if finding not in self.outputs:
                advice = did_you_mean(finding, self.outputs)
                raise UnknownOutputError(f"this model was not trained on {finding!r}; {advice}")
        return self.probabilities(images)[:, [self.outputs.index(finding) for finding in findings]]

    def probabilities(self, images: Tensor) -> Tensor:
        """Normalized images `[B, 1, H, W]` -> probability of each output `[B, K, ...]`."""
        return self.net(images).sigmoid()


def load_finetuned(folder: str | Path, device: str = "auto") -> FinetunedModel:
    """Load a folder of `medvlp finetune`, in eval mode. Nothing is downloaded and no pickled code runs.

    Raises:
        ModelFolderError: the folder, or a file of it, is missing or damaged, the weights do not fit the recipe, or it
            is a pretrained model.
    """
    files = ModelFolder(folder)
    card = files.card()
    if files.kind == PRETRAINING:
        raise ModelFolderError(f"{folder} is a pretrained model; `medvlp.load` or `load_model` loads it.")
    recipe, preprocess = FinetuneRecipe.load(files.path / "recipe.yaml"), files.preprocess()
    kind, options = head_and_options(recipe)
    # A card of before version 0.2 names the trunk alone, and all that its network took from an encoder was the trunk.
    sizes = card.get("encoder") or {"name": card["trunk"], "dim": None, "patch_stride": 16}
    net = kind.network(_new_encoder(sizes, preprocess.size), options)
    files.load_weights(net)
    target = device_named(device)
    return FinetunedModel(
        preprocess=preprocess,
        generated=bool(card["generated"]),
        card=card,
        device=target,
        training_images=ImageDistribution.load(files.path),
        net=net.to(target).eval(),
        recipe=recipe,
        outputs=kind.outputs(options),
    )
