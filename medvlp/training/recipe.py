"""`Recipe`: everything that decides a training run, typed and validated. One YAML file, with overrides."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from medvlp.training.precision import Precision
from medvlp.training.recipe_file import RecipeFile, RecipePart

SectionName = Literal[
    "findings",
    "impression",
    "addendum",
    "comparison",
    "examination",
    "history",
    "indication",
    "preamble",
    "recommendation",
    "technique",
    "wet_read",
    "other",
]


class ImageDataRecipe(RecipePart):
    """Which rows of which store; of pretraining and of fine-tuning.

    Attributes:
        store: the folder that `medvlp data prepare` wrote.
        batch_size: images of a batch over all ranks; a step sees `training.accumulate` times as many.
        views: views to train on (`PA`, `AP`, `LATERAL`, ...); None takes all.
        sampling_weights: how often an epoch shows the images of a data set of the store, such as
            `{nih_cxr: 2, covid_cxr: 0.5}`; 1 where it is not named. For data sets of unequal size.
        train_split, validate_split: names in the store's `split` column.
        validate_images: at most so many validation images are scored, the same ones each time; None scores all.
        augment: how much training images are shifted, zoomed, turned and changed in contrast (never flipped).
        prefetch: batches that background threads prepare in advance; 0 prepares each when it is needed.
    """

    store: Path
    batch_size: int = Field(default=32, ge=2)
    views: tuple[str, ...] | None = None
    sampling_weights: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    train_split: str = "train"
    validate_split: str = "validate"
    validate_images: int | None = Field(default=None, ge=1)
    augment: Literal["full", "light", "none"] = "full"
    prefetch: int = Field(default=2, ge=0)


class DataRecipe(ImageDataRecipe):
    """Rows and reports of a pretraining; the other keys as in `ImageDataRecipe`.

    Attributes:
        sections: of the reports, which are read; a report that has none of them is read whole.
        max_sentences, max_sentence_tokens: what a report has beyond these is truncated.
    """

    validate_images: int | None = Field(default=512, ge=1)
    sections: tuple[SectionName, ...] = ("findings", "impression")
    max_sentences: int = Field(default=12, ge=1)
    max_sentence_tokens: int = Field(default=32, ge=4)


class ImageEncoderRecipe(RecipePart):
    """The image encoder: a registered name or any of timm; the rest as in `medvlp.models.ImageEncoder`."""

    name: str = "resnet10t"
    pretrained: bool = False
    dim: int = Field(default=256, ge=1)
    patch_stride: Literal[4, 8, 16, 32] = 16
    patch_dropping: float = Field(default=0.0, ge=0, lt=1)


class TextEncoderRecipe(RecipePart):
    """The text encoder: `small` is a BERT of the sizes below, with a WordPiece tokenizer trained on the training
    reports, as for any registered name; any other is a transformers hub name or folder with its own tokenizer."""

    name: str = "small"
    layers: int = Field(default=2, ge=1)
    width: int = Field(default=128, ge=8)
    heads: int = Field(default=4, ge=1)
    vocab_size: int = Field(default=4000, ge=64)
    max_tokens: int = Field(default=128, ge=8)
    pooling: Literal["mean", "cls"] = "mean"
    freeze: bool = False


class HomogenizeRecipe(RecipePart):
    """The language model that rewrites a book: see `medvlp.knowledge.homogenize.Homogenizer`.

    Attributes:
        endpoint: base address of an OpenAI-style chat endpoint, such as `http://localhost:8000/v1`.
        model: its name there.
        cache: folder of the answers; what it holds is never asked for again.
    """

    endpoint: str
    model: str
    cache: Path = Path("homogenized")


class KnowledgeRecipe(RecipePart):
    """The knowledge book.

    Attributes:
        book: `default` or a YAML file.
        facets: of the book, which are read; `name` is a finding's name.
        homogenize: have these facets of all findings rewritten in one register and length before training, where a book
            of your own brings texts of several. A saved model holds the rewritten book and asks nobody.
    """

    book: str = "default"
    facets: tuple[str, ...] = Field(default=("definition", "radiographic"), min_length=1)
    homogenize: HomogenizeRecipe | None = None


class LoopRecipe(RecipePart):
    """The training loop; of pretraining and of fine-tuning.

    Attributes:
        epochs, max_steps: the run ends at whichever comes first; a step is one update of the weights. Where `max_steps`
            is given and `epochs` is not, `max_steps` alone decides.
        max_minutes: it also ends after so much time in steps (what validations and saving take is not counted), and the
            learning rate's schedule is fitted to that. Such a run depends on the machine: it cannot be repeated bit by
            bit. On one device.
        learning_rate: after `warmup_steps` of linear warm-up; a cosine brings it to zero at the last step.
        weight_decay: of AdamW, on matrices only (not on biases, norms and scales).
        clip_norm: largest global gradient norm; None leaves gradients alone.
        precision: `auto` (bfloat16 where the device has units for it, else float32), `bf16` (mixed, autocast) or `32`.
        accumulate: batches a step.
        ema: decay of an exponential moving average of the weights (0.999, ...), which is then what is validated and
            saved; None trains without.
        validate_every: steps between validations; None validates every `validate_epochs` epochs.
        validate_epochs: epochs between validations, where `validate_every` is None.
        checkpoint_every: steps between resumable checkpoints; None writes one at each validation.
        keep: what is saved: the `best` model by the metric (and the last one in `last/`), or only the `last`, which no
            validation has chosen.
        patience: validations without a better metric before the run stops; None never stops early.
        log_every: steps between lines of the metrics file. The device is waited for at these steps only.
        accelerator, devices: as in Lightning Fabric; `devices: 2` runs two ranks, each with its share of the batch.
        threads: CPU threads of torch; None leaves torch's own choice (all cores, or OMP_NUM_THREADS).
    """

    epochs: int | None = Field(default=10, ge=1)
    max_steps: int | None = Field(default=None, ge=1)
    max_minutes: float | None = Field(default=None, gt=0)
    learning_rate: float = Field(default=5e-4, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    warmup_steps: int = Field(default=100, ge=0)
    clip_norm: float | None = Field(default=1.0, gt=0)
    precision: Precision = "auto"
    accumulate: int = Field(default=1, ge=1)
    ema: float | None = Field(default=None, gt=0, lt=1)
    validate_every: int | None = Field(default=None, ge=1)
    validate_epochs: int = Field(default=1, ge=1)
    checkpoint_every: int | None = Field(default=None, ge=1)
    keep: Literal["best", "last"] = "best"
    patience: int | None = Field(default=None, ge=1)
    log_every: int = Field(default=20, ge=1)
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    devices: int = Field(default=1, ge=1)
    threads: int | None = Field(default=None, ge=1)

    @field_validator("precision", mode="before")
    @classmethod
    def _precision_as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value

    @model_validator(mode="before")
    @classmethod
    def _max_steps_alone(cls, value: Any) -> Any:
        """`max_steps` without `epochs` is not cut short by the default number of epochs."""
        if isinstance(value, dict) and value.get("max_steps") is not None and "epochs" not in value:
            return {**value, "epochs": None}
        return value

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        if self.epochs is None and self.max_steps is None:
            raise ValueError("training.epochs is null, so training.max_steps must say when the run ends")
        return self


class TrainingRecipe(LoopRecipe):
    """The loop of a pretraining; the other keys as in `LoopRecipe`.

    Attributes:
        metric: what decides the best model: `auroc` (macro, zero-shot) or `loss` (both on the validation split).
        unmentioned: what the validation AUROC takes a finding for that a report leaves out: `negative`, since reports
            deny little, or `ignore`. It touches no loss.
    """

    metric: Literal["auroc", "loss"] = "auroc"
    unmentioned: Literal["ignore", "negative"] = "negative"


class RunRecipe(RecipeFile):
    """What the engine reads of any recipe.

    Attributes:
        seed: of weights, order and augmentation.
    """

    seed: int = Field(default=0, ge=0)
    data: ImageDataRecipe
    training: LoopRecipe = LoopRecipe()


class Recipe(RunRecipe):
    """One experiment. `Recipe.load` reads it from YAML; a wrong key or value is a `RecipeError` that names the nearest.

    Attributes:
        method: a registered method (`clip`, `unimodal`, `devide`, ...).
        options: the method's own settings, checked against its `Options` when the method is built.
        auxiliary: what it is trained with beside its own losses (`filip`, `medcutmix`, ...), each with its settings.
        findings: a label space's name or file, or a list of finding ids; the columns of every `[B, F]` tensor.
    """

    old_keys: ClassVar[Mapping[str, str]] = {
        "data.rates": "data.sampling_weights",
        "extras": "auxiliary",
        "knowledge.homogenise": "knowledge.homogenize",
    }

    method: str
    options: dict[str, Any] = Field(default_factory=dict)
    auxiliary: dict[str, dict[str, Any]] = Field(default_factory=dict)
    findings: str | tuple[str, ...]
    data: DataRecipe
    image_encoder: ImageEncoderRecipe = ImageEncoderRecipe()
    text_encoder: TextEncoderRecipe = TextEncoderRecipe()
    knowledge: KnowledgeRecipe = KnowledgeRecipe()
    training: TrainingRecipe = TrainingRecipe()

    @field_validator("auxiliary", mode="before")
    @classmethod
    def _no_settings(cls, value: Any) -> Any:
        """`filip:` with nothing behind it is `filip` with its defaults."""
        return {name: given or {} for name, given in value.items()} if isinstance(value, dict) else value
