"""What every recipe is: typed settings from one YAML file, with overrides, and errors that name the nearest key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
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

        A file that says `base: other.yaml` (beside it) states only what differs from that one, key by key. `options`
        are those of a method: they are not taken over where the two files name different methods.

        Raises:
            RecipeError: no such file, not YAML, or an unknown key or value; says where, and what is nearest.
        """
        return cls.from_dict(read_settings(Path(path), overrides), str(path))

    @classmethod
    def from_yaml(cls, text: str, overrides: Sequence[str] = (), source: str = "recipe") -> Self:
        """As `load`, from the text of a recipe; `source` names it in errors."""
        return cls.from_dict(with_overrides(_parse(text, source), overrides), source)

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


def read_settings(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The nested settings of a recipe file on its base, with overrides, not validated yet.

    Raises:
        RecipeError: no such file, not YAML, or an override that is none.
    """
    return with_overrides(_read(path, ()), overrides)


def with_overrides(settings: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A copy of nested settings with `key.sub=value` applied. Raises RecipeError for an override that is none."""
    settings = deepcopy(settings)
    for override in overrides:
        _override(settings, override)
    return settings


def _read(path: Path, inside: tuple[Path, ...]) -> dict[str, Any]:
    """Settings of a file, laid over those of its base."""
    if path.resolve() in inside:
        raise RecipeError(f"{path}: its `base` leads back to itself.")
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"Cannot read the recipe {path}: {error}") from error
    settings = _parse(text, str(path))
    base = settings.pop("base", None)
    if base is None:
        return settings
    return laid_over(_read(path.parent / str(base), (*inside, path.resolve())), settings)


def _parse(text: str, source: str) -> dict[str, Any]:
    try:
        settings = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{source} is not valid YAML: {error}") from error
    if not isinstance(settings, dict):
        raise RecipeError(f"{source} holds no `key: value` lines.")
    return settings


def laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Nested settings, where both say something the upper ones hold; `options` of another method are not taken over."""
    other_method = "method" in above and above["method"] != below.get("method")
    return _joined({k: v for k, v in below.items() if k != "options"} if other_method else below, above)


def _joined(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    joined = dict(below)
    for key, value in above.items():
        lower = below.get(key)
        joined[key] = _joined(lower, value) if isinstance(lower, dict) and isinstance(value, dict) else value
    return joined


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
