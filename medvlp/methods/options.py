"""`Options`: a method's own settings, and the kinds of values that methods share, each with its bounds."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt, ValidationInfo
from pydantic_core import PydanticCustomError


def _holds_a_name(template: str) -> str:
    rest = template.replace("{}", "", 1)
    if rest == template or "{" in rest or "}" in rest:
        raise PydanticCustomError("template", 'a template says "{}" once, where the name of the finding goes')
    return template


def _may_hold_a_name(template: str) -> str:
    """A prompt for absence may be the same for all findings ("normal chest")."""
    return _holds_a_name(template) if {"{", "}"} & set(template) else template


def _divide_the_width(heads: int, info: ValidationInfo) -> int:
    """Each head reads its share of the width, an option that stands above the heads."""
    for key, width in info.data.items():
        if key.endswith("width") and width % heads:
            raise PydanticCustomError("heads", f"{heads} heads do not divide {key}, {width}")
    return heads


Share = Annotated[float, Field(ge=0, le=1)]
FixedTemperature = Annotated[float, Field(ge=0.01, le=1)]  # what `Temperature` holds
Heads = Annotated[PositiveInt, AfterValidator(_divide_the_width)]
Facets = Annotated[tuple[str, ...], Field(min_length=1)]
Template = Annotated[str, AfterValidator(_holds_a_name)]
Absence = Annotated[str, Field(min_length=1), AfterValidator(_may_hold_a_name)]
PromptPairs = Annotated[tuple[tuple[Template, Absence], ...], Field(min_length=1)]


class Options(BaseModel):
    """A method's own settings; a subclass names them, each with its bounds. An unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)
