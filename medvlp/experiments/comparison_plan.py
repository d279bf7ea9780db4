"""`ComparePlan`: a comparison as one YAML file: data, the recipe that all runs share, what each method changes."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from medvlp.experiments.plan import DataPlan
from medvlp.training.recipe_file import RecipePart


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


class ComparePlan(DataPlan):
    """A comparison. `ComparePlan.load` reads it; a wrong key or value names the nearest valid one.

    Attributes, beside those of `DataPlan`:
        recipe: a recipe beside the plan, which all runs share. `data.store` is the comparison's own store.
        changes: settings that differ from it in all runs.
        methods: name in the table -> what it is trained with; a name with nothing behind it is that method with its
            default options.
        seeds: runs of each method.
        samples, minutes: the budget of each run, one of the two.
        reference: the method that the others are held against; None takes the first.
        resamples: of the bootstrap over patients and seeds.
    """

    recipe: str
    changes: dict[str, Any] = Field(default_factory=dict)
    methods: dict[str, MethodPlan] = Field(min_length=1)
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

    @model_validator(mode="after")
    def _one_budget(self) -> ComparePlan:
        if (self.samples is None) == (self.minutes is None):
            raise ValueError("a budget is `samples` or `minutes`, one of the two")
        return self
