"""`FinetuneRecipe`: everything that decides a fine-tuned head. One YAML file, with overrides."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator, model_validator

from medvlp.models import DEFAULT_IMAGE_ENCODER
from medvlp.training.recipe import ImageDataRecipe, LoopRecipe, RunRecipe
from medvlp.training.recipe_file import RecipePart


class EncoderRecipe(RecipePart):
    """Where the encoder comes from.

    Attributes:
        model: a folder of `medvlp pretrain`; its architecture and, unless `scratch`, its weights are taken.
        scratch: keep the architecture of `model` and start from random weights: the comparison that shows what the
            pretraining was worth.
        name: a timm name, where there is no `model`.
        pretrained: load timm's weights for `name`.
        freeze: train the head alone.
    """

    model: Path | None = None
    scratch: bool = False
    name: str = DEFAULT_IMAGE_ENCODER
    pretrained: bool = False
    freeze: bool = False

    @property
    def from_scratch(self) -> bool:
        """Whether its weights are random at the start."""
        return self.scratch or (self.model is None and not self.pretrained)

    @model_validator(mode="after")
    def _frozen_is_pretrained(self) -> EncoderRecipe:
        if self.freeze and self.from_scratch:
            raise ValueError("freeze keeps random weights, since the encoder is from scratch; give encoder.model")
        return self


class FinetuneDataRecipe(ImageDataRecipe):
    """Which rows of which store; only rows that have a label or mask count. The other keys as in `ImageDataRecipe`.

    Attributes:
        train_patients: at most so many training patients, drawn by the recipe's seed (for tables of few labels).
    """

    batch_size: int = Field(default=16, ge=2)
    train_patients: int | None = Field(default=None, ge=1)

    @field_validator("augment", mode="before")
    @classmethod
    def _yes_or_no(cls, value: Any) -> Any:
        """Recipes of an earlier version say true or false."""
        return {True: "full", False: "none"}[value] if isinstance(value, bool) else value


class FinetuneTrainingRecipe(LoopRecipe):
    """The loop of fine-tuning, with its own defaults; the other keys as in `LoopRecipe`.

    Attributes:
        learning_rate: of the head.
        encoder_rate: a pretrained encoder's learning rate as a fraction of it; one from scratch learns at the full
            rate, so that the comparison is fair.
    """

    epochs: int | None = Field(default=30, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    encoder_rate: float = Field(default=0.3, ge=0)
    weight_decay: float = Field(default=0.01, ge=0)
    warmup_steps: int = Field(default=20, ge=0)
    patience: int | None = Field(default=8, ge=1)


class FinetuneRecipe(RunRecipe):
    """One fine-tuning run. `FinetuneRecipe.load` reads it from YAML; a wrong key or value names the nearest valid one.

    Attributes:
        task: a registered head: `segmentation`, `classification`, or one of an installed package.
        options: the head's own settings, checked against its `Options`.
        seed: of the head's weights, of `train_patients`, of order and augmentation.

    Examples:
        >>> recipe = FinetuneRecipe.from_yaml("task: classification\\noptions: {findings: [edema]}\\ndata: {store: s}")
        >>> recipe.options
        {'findings': ['edema']}
    """

    old_keys: ClassVar[Mapping[str, str]] = {
        "structures": "options.structures",
        "decoder.name": "options.decoder",
        "decoder.width": "options.width",
        "training.dice_weight": "options.dice_weight",
        "training.validate_every": "training.validate_epochs",  # counted epochs here, and counts steps elsewhere
    }

    task: str = "segmentation"
    options: dict[str, Any] = Field(default_factory=dict)
    encoder: EncoderRecipe = EncoderRecipe()
    data: FinetuneDataRecipe
    training: FinetuneTrainingRecipe = FinetuneTrainingRecipe()
