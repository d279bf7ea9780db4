"""`FinetuneRecipe`: everything that decides a fine-tuned segmentation head. One YAML file, with overrides."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from medvlp.models import DEFAULT_IMAGE_ENCODER
from medvlp.training.recipe_file import RecipeFile, RecipePart


class EncoderRecipe(RecipePart):
    """Where the encoder comes from.

    Attributes:
        model: a folder of `medvlp pretrain`; its architecture and, unless `scratch`, its weights are taken.
        scratch: keep the architecture of `model` and start from random weights: the comparison that shows what the
            pretraining was worth.
        name: a timm name, where there is no `model`.
        pretrained: load timm's weights for `name`.
        freeze: train the decoder alone.
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
    def _frozen_knows_something(self) -> EncoderRecipe:
        if self.freeze and self.from_scratch:
            raise ValueError("freeze keeps random weights, since the encoder is from scratch; give encoder.model")
        return self


class DecoderRecipe(RecipePart):
    """The decoder of segmentation-models-pytorch and the channels of its finest level."""

    name: str = "unet"
    width: int = Field(default=16, ge=4)


class FinetuneDataRecipe(RecipePart):
    """Which rows of which store; only rows with a mask of one of the structures count.

    Attributes:
        store: the folder that `medvlp data prepare` wrote, prepared as the images of the model.
        train_patients: at most so many training patients, drawn by the recipe's seed (for tables of few labels).
        augment: move and tone the training images (never a flip).
    """

    store: Path
    batch_size: int = Field(default=16, ge=2)
    views: tuple[str, ...] | None = None
    train_split: str = "train"
    validate_split: str = "validate"
    train_patients: int | None = Field(default=None, ge=1)
    augment: bool = True


class FinetuneTrainingRecipe(RecipePart):
    """The loop.

    Attributes:
        epochs, max_steps: the run ends at whichever comes first.
        learning_rate: of the decoder, after a linear warm-up of `warmup_steps`; a cosine brings it to zero.
        encoder_rate: a pretrained encoder's learning rate as a share of it; one from scratch learns at the full rate,
            so that the comparison is fair.
        dice_weight: the loss is `dice_weight` x soft Dice + (1 - `dice_weight`) x pixel cross entropy.
        precision: `bf16` (autocast) or `32`.
        validate_every: epochs between validations.
        patience: validations without a better Dice before the run stops; None never stops early.
        threads: CPU threads of torch; None leaves torch's own choice.
    """

    epochs: int = Field(default=30, ge=1)
    max_steps: int | None = Field(default=None, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    encoder_rate: float = Field(default=0.3, ge=0)
    weight_decay: float = Field(default=0.01, ge=0)
    warmup_steps: int = Field(default=20, ge=0)
    clip_norm: float | None = Field(default=1.0, gt=0)
    dice_weight: float = Field(default=0.5, ge=0, le=1)
    precision: Literal["bf16", "32"] = "bf16"
    validate_every: int = Field(default=1, ge=1)
    patience: int | None = Field(default=8, ge=1)
    threads: int | None = Field(default=None, ge=1)

    @field_validator("precision", mode="before")
    @classmethod
    def _precision_as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value


class FinetuneRecipe(RecipeFile):
    """One fine-tuning run. `FinetuneRecipe.load` reads it from YAML; a wrong key or value names the nearest valid one.

    Attributes:
        structures: names of masks of the store, in the order of the model's outputs.
        seed: of the decoder's weights, of `train_patients`, of order and augmentation.
    """

    task: Literal["segmentation"] = "segmentation"
    structures: tuple[str, ...] = Field(min_length=1)
    seed: int = Field(default=0, ge=0)
    encoder: EncoderRecipe = EncoderRecipe()
    decoder: DecoderRecipe = DecoderRecipe()
    data: FinetuneDataRecipe
    training: FinetuneTrainingRecipe = FinetuneTrainingRecipe()

    @model_validator(mode="after")
    def _names_once(self) -> FinetuneRecipe:
        if len(set(self.structures)) < len(self.structures):
            raise ValueError(f"structures names one twice: {', '.join(self.structures)}")
        return self
