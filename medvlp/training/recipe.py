"""`Recipe`: everything that decides a training run, typed and validated. One YAML file, with overrides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from medvlp.training.recipe_errors import RecipeError, explain


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataRecipe(_Part):
    """Which rows of which store.

    Attributes:
        store: the folder that `medvlp data prepare` wrote.
        batch_size: images of a batch over all ranks; a step sees `training.accumulate` times as many.
        views: views to train on (`PA`, `AP`, `LATERAL`, ...); None takes all.
        train_split, validate_split: names in the store's `split` column.
        validate_images: at most so many validation images are scored, the same ones each time.
        augment: shift, zoom, turn and change the contrast of training images (never a flip).
        max_sentences, max_sentence_tokens: what a report has beyond these is cut off.
        prefetch: batches made ahead by background threads; 0 makes each when it is needed.
    """

    store: Path
    batch_size: int = Field(default=32, ge=2)
    views: tuple[str, ...] | None = None
    train_split: str = "train"
    validate_split: str = "validate"
    validate_images: int = Field(default=512, ge=1)
    augment: bool = True
    max_sentences: int = Field(default=12, ge=1)
    max_sentence_tokens: int = Field(default=32, ge=4)
    prefetch: int = Field(default=2, ge=0)


class ImageEncoderRecipe(_Part):
    """The image encoder: any timm name; the rest as in `medvlp.models.image_encoder.ImageEncoder`."""

    name: str = "resnet10t"
    pretrained: bool = False
    dim: int = Field(default=256, ge=1)
    patch_stride: Literal[4, 8, 16, 32] = 16


class TextEncoderRecipe(_Part):
    """The text encoder: `small` is a BERT of the sizes below, with a WordPiece tokenizer trained on the training
    reports; any other name is a transformers hub name or folder, which brings its own sizes and tokenizer."""

    name: str = "small"
    layers: int = Field(default=2, ge=1)
    width: int = Field(default=128, ge=8)
    heads: int = Field(default=4, ge=1)
    vocab_size: int = Field(default=4000, ge=64)
    max_tokens: int = Field(default=128, ge=8)
    pooling: Literal["mean", "cls"] = "mean"
    freeze: bool = False


class KnowledgeRecipe(_Part):
    """The knowledge book (`default` or a YAML file) and the facets read from it."""

    book: str = "default"
    facets: tuple[str, ...] = ("definition", "radiographic")


class TrainingRecipe(_Part):
    """The loop.

    Attributes:
        epochs, max_steps: the run ends at whichever comes first; a step is one update of the weights.
        learning_rate: after `warmup_steps` of linear warm-up; a cosine brings it to zero at the last step.
        weight_decay: of AdamW, on matrices only (not on biases, norms and scales).
        clip_norm: largest global gradient norm; None leaves gradients alone.
        precision: `bf16` (mixed, autocast) or `32`.
        accumulate: batches a step.
        ema: decay of an exponential moving average of the weights (0.999, ...), which is then what is validated and
            saved; None trains without.
        validate_every: steps between validations; None validates at the end of each epoch.
        checkpoint_every: steps between resumable checkpoints; None writes one at each validation.
        metric: what decides the best model: `auroc` (macro, zero-shot) or `loss` (both on the validation split).
        unmentioned: what the validation AUROC takes a finding for that a report leaves out: `negative`, since reports
            deny little, or `ignore`. It touches no loss.
        patience: validations without a better metric before the run stops; None never stops early.
        log_every: steps between lines of the metrics file. The device is waited for at these steps only.
        accelerator, devices: as in Lightning Fabric; `devices: 2` runs two ranks, each with its share of the batch.
        threads: CPU threads of torch; None leaves torch's own choice (all cores, or OMP_NUM_THREADS).
    """

    epochs: int = Field(default=10, ge=1)
    max_steps: int | None = Field(default=None, ge=1)
    learning_rate: float = Field(default=5e-4, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    warmup_steps: int = Field(default=100, ge=0)
    clip_norm: float | None = Field(default=1.0, gt=0)
    precision: Literal["bf16", "32"] = "bf16"
    accumulate: int = Field(default=1, ge=1)
    ema: float | None = Field(default=None, gt=0, lt=1)
    validate_every: int | None = Field(default=None, ge=1)
    checkpoint_every: int | None = Field(default=None, ge=1)
    metric: Literal["auroc", "loss"] = "auroc"
    unmentioned: Literal["ignore", "negative"] = "negative"
    patience: int | None = Field(default=None, ge=1)
    log_every: int = Field(default=20, ge=1)
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    devices: int = Field(default=1, ge=1)
    threads: int | None = Field(default=None, ge=1)

    @field_validator("precision", mode="before")
    @classmethod
    def _precision_as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value


class Recipe(_Part):
    """One experiment. `Recipe.load` reads it from YAML; a wrong key or value is a `RecipeError` that names the nearest.

    Attributes:
        method: a registered method (`clip`, `unimodal`, `devide`, ...).
        options: the method's own settings, checked against its `Options` when the method is built.
        findings: a label space's name or file, or a list of finding ids; the columns of every `[B, F]` tensor.
        seed: of weights, order and augmentation.
    """

    method: str
    options: dict[str, Any] = Field(default_factory=dict)
    findings: str | tuple[str, ...]
    seed: int = Field(default=0, ge=0)
    data: DataRecipe
    image_encoder: ImageEncoderRecipe = ImageEncoderRecipe()
    text_encoder: TextEncoderRecipe = TextEncoderRecipe()
    knowledge: KnowledgeRecipe = KnowledgeRecipe()
    training: TrainingRecipe = TrainingRecipe()

    @classmethod
    def load(cls, path: Path | str, overrides: Sequence[str] = ()) -> Recipe:
        """Read a recipe file and apply `key.sub=value` overrides (values are YAML: `data.views=[PA,AP]`).

        Raises:
            RecipeError: no such file, not YAML, or an unknown key or value; says where, and what is nearest.
        """
        try:
            text = Path(path).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"Cannot read the recipe {path}: {error}") from error
        return cls.from_yaml(text, overrides, source=str(path))

    @classmethod
    def from_yaml(cls, text: str, overrides: Sequence[str] = (), source: str = "recipe") -> Recipe:
        """As `load`, from the text of a recipe; `source` names it in errors."""
        try:
            settings = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise RecipeError(f"{source} is not valid YAML: {error}") from error
        if not isinstance(settings, dict):
            raise RecipeError(f"{source} holds no `key: value` lines.")
        for override in overrides:
            _override(settings, override)
        return cls.from_dict(settings, source)

    @classmethod
    def from_dict(cls, settings: dict[str, Any], source: str = "recipe") -> Recipe:
        """Validate nested settings. Raises RecipeError with one line for each wrong entry."""
        try:
            return cls.model_validate(settings)
        except ValidationError as error:
            raise RecipeError(f"{source}: {explain(error, cls)}") from error

    def to_yaml(self) -> str:
        """The complete recipe, defaults included, as YAML that `Recipe.load` reads back equal."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    def flat(self) -> dict[str, Any]:
        """Every setting by its dotted key: `{"training.epochs": 10, ...}`."""
        return dict(_flat(self.model_dump(mode="json"), ""))


def _flat(settings: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _override(settings: dict[str, Any], override: str) -> None:
    """Set one `key.sub=value` in nested settings; levels that are not there yet are made."""
    name, equals, text = override.partition("=")
    if not equals or not name.strip():
        raise RecipeError(f"Override {override!r} is not of the form key.sub=value, e.g. training.epochs=5.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"Override {override!r}: the value is not valid YAML: {error}") from error
    *parents, last = name.strip().split(".")
    level = settings
    for depth, parent in enumerate(parents):
        level = level.setdefault(parent, {})
        if not isinstance(level, dict):
            raise RecipeError(f"Override {override!r}: {'.'.join(parents[: depth + 1])} holds a value, not keys.")
    level[last] = value
