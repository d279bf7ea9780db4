"""What every recipe is: typed settings from one YAML file, with overrides, and errors that name the nearest key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from medvlp.training.recipe_errors import RecipeError, explain


class RecipePart(BaseModel):
    """Settings under one key; an unknown one is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RecipeFile(RecipePart):
    """A whole recipe: a subclass names its settings."""

    @classmethod
    def load(cls, path: Path | str, overrides: Sequence[str] = ()) -> Self:
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
    def from_yaml(cls, text: str, overrides: Sequence[str] = (), source: str = "recipe") -> Self:
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
    def from_dict(cls, settings: dict[str, Any], source: str = "recipe") -> Self:
        """Validate nested settings. Raises RecipeError with one line for each wrong entry."""
        try:
            return cls.model_validate(settings)
        except ValidationError as error:
            raise RecipeError(f"{source}: {explain(error, cls)}") from error

    def to_yaml(self) -> str:
        """The complete recipe, defaults included, as YAML that `load` reads back equal."""
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
