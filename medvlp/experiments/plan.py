"""`Plan`: what an experiment reads, trains, evaluates and shows; one YAML file beside the recipes that it names."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from medvlp.training.recipe_file import RecipeFile, RecipePart

UNTRAINED = "untrained"


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


class Plan(DataPlan):
    """An experiment. `Plan.load` reads it; a wrong key or value names the nearest valid one.

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
    def _main_is_a_model(self) -> Plan:
        if self.main not in self.models:
            raise ValueError(f"main is {self.main!r}, which is none of the models {', '.join(self.models)}")
        if UNTRAINED in self.models:
            raise ValueError(f"{UNTRAINED!r} is the name of the main model before training; choose another")
        return self


def plan_folder() -> Path:
    """Where the plans and recipes that come with the package are."""
    return Path(__file__).resolve().parents[2] / "recipes"
