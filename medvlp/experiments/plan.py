"""Plans: what an experiment or a comparison reads, trains, evaluates and shows; one YAML file beside its recipes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator, model_validator

from medvlp.training.recipe_file import RecipeFile, RecipePart

if TYPE_CHECKING:
    from medvlp.evaluation.protocol import Protocol

UNTRAINED = "untrained"  # the main model before its first step
PRETRAINED, SCRATCH = "pretrained", "scratch"  # encoders of the segmentation heads


class SourcePlan(RecipePart):
    """One data set.

    Attributes:
        name: a source of `medvlp data index`.
        root: its folder, under the experiment's `--data`; a phantom is generated into the experiment's folder instead.
        options: of the source's manifest function; of the generator (`patients`, `size`, `seed`) for a phantom.
        split: shares of patients for train, validate and test, instead of the data set's own split.
    """

    name: str
    root: str = ""
    options: dict[str, Any] = Field(default_factory=dict)
    split: tuple[float, float, float] | None = None


class ZeroShotPlan(RecipePart):
    """Which labels count, and on which rows.

    Attributes:
        source: only rows of this data set; None takes all.
        split, views: of the rows.
        labels: `truth` takes the generator's truth of the images, `store` the data set's own labels.
        findings: asked of every model; empty takes those they were trained on.
        large: findings whose macro average stands in a row of its own.
    """

    source: str | None = None
    split: Literal["train", "validate", "test"] = "test"
    views: tuple[str, ...] | None = None
    labels: str = Field(default="store", pattern="^(store|truth)$")
    findings: tuple[str, ...] = ()
    large: tuple[str, ...] = ()

    def protocol(self, labels: Path | None = None) -> Protocol:
        """The protocol of the label task, on the store's own labels or on a table of others."""
        from medvlp.evaluation.protocol import Protocol

        return Protocol(self.split, self.source, self.views, self.findings or None, labels)


class SegmentPlan(RecipePart):
    """Fine-tuning of a segmentation head, on the main model's encoder and on the same encoder from scratch."""

    recipe: str
    split: str = "test"
    show: int = 4


class RetrievePlan(RecipePart):
    """Reports of the training split, retrieved for images of the test split."""

    queries: int = 200
    depth: int = 5
    show: int = 3


class GroundPlan(RecipePart):
    """Findings pointed at on the test split, against their boxes; `heat_map` as in `medvlp ground --kind`."""

    heat_map: Literal["phrase", "evidence"] = "phrase"
    findings: tuple[str, ...]
    images: int = 200
    show: int = 6


class DataPlan(RecipeFile):
    """What every plan says: its page, its data sets, and which labels count.

    Attributes:
        title, summary: of the page.
        data: the data sets; their manifests are joined.
        size: pixels of the prepared radiographs.
        zero_shot: which labels count, and on which rows.
        limits: what the numbers cannot show; printed on the page.
    """

    title: str
    summary: str = ""
    data: tuple[SourcePlan, ...] = Field(min_length=1)
    size: int = Field(default=128, ge=32)
    zero_shot: ZeroShotPlan = ZeroShotPlan()
    limits: tuple[str, ...] = ()


class ExperimentPlan(DataPlan):
    """An experiment. `ExperimentPlan.load` reads it; a wrong key or value names the nearest valid one.

    Attributes, beside those of `DataPlan`:
        models: name on the page -> recipe file beside the plan. Their `data.store` is the experiment's own store.
        main: the model that segments, retrieves and grounds; the others are compared with it.
    """

    models: dict[str, str] = Field(min_length=1)
    main: str
    segment: SegmentPlan | None = None
    retrieve: RetrievePlan | None = None
    ground: GroundPlan | None = None

    @model_validator(mode="after")
    def _main_is_a_model(self) -> ExperimentPlan:
        if self.main not in self.models:
            raise ValueError(f"main is {self.main!r}, which is none of the models {', '.join(self.models)}")
        if UNTRAINED in self.models:
            raise ValueError(f"{UNTRAINED!r} is the name of the main model before training; choose another")
        return self


class MethodPlan(RecipePart):
    """What one line of the table is trained with.

    Attributes:
        method: a registered method; None takes the line's name.
        options: of the method.
        changes: settings of the recipe that only this line changes, such as `{text_encoder: {freeze: true}}`.
    """

    method: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    changes: dict[str, Any] = Field(default_factory=dict)


class ComparisonPlan(DataPlan):
    """A comparison. `ComparisonPlan.load` reads it; a wrong key or value names the nearest valid one.

    Attributes, beside those of `DataPlan`:
        recipe: a recipe beside the plan, which all runs share. `data.store` is the comparison's own store.
        changes: settings that differ from it in all runs.
        methods: name in the table -> what it is trained with; a name with nothing behind it is that method with its
            default options.
        every_method: add a line for each registered method that `methods` does not name.
        seeds: runs of each method.
        samples, minutes: the budget of each run, one of the two.
        reference: the method that the others are held against; None takes the first.
        resamples: of the bootstrap over patients and seeds.
    """

    recipe: str
    changes: dict[str, Any] = Field(default_factory=dict)
    methods: dict[str, MethodPlan] = Field(min_length=1)
    every_method: bool = False
    seeds: int = Field(default=3, ge=1)
    samples: int | None = Field(default=None, ge=1)
    minutes: float | None = Field(default=None, gt=0)
    reference: str | None = None
    resamples: int = Field(default=1000, ge=1)

    @field_validator("methods", mode="before")
    @classmethod
    def _bare_names(cls, methods: Any) -> Any:
        if not isinstance(methods, dict):
            return methods
        return {name: MethodPlan() if line is None else line for name, line in methods.items()}

    @model_validator(mode="before")
    @classmethod
    def _every_method(cls, settings: Any) -> Any:
        """Add a line for each registered method that no line is trained with."""
        if not (isinstance(settings, dict) and settings.get("every_method")):
            return settings
        lines = dict(settings.get("methods") or {})
        trained = {(line or {}).get("method") or name for name, line in lines.items()}  # read from YAML
        from medvlp.methods import METHODS  # torch is slow to import

        return settings | {"methods": lines | {name: None for name in METHODS.names() if name not in trained}}

    @model_validator(mode="after")
    def _one_budget(self) -> ComparisonPlan:
        if (self.samples is None) == (self.minutes is None):
            raise ValueError("a budget is `samples` or `minutes`, one of the two")
        return self
