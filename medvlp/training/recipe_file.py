"""What every recipe is: typed settings from one YAML file, with overrides, and errors that name the nearest key."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from medvlp.errors import did_you_mean
from medvlp.training.recipe_errors import RecipeError, explain


class RecipePart(BaseModel):
    """Settings under one key; an unknown one is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RecipeFile(RecipePart):
    """A whole recipe: a subclass names its settings.

    Class attributes:
        old_keys: dotted key of an earlier version -> its name today. Read for one version, with a warning.
    """

    old_keys: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def load(cls, path: Path | str, overrides: Sequence[str] = ()) -> Self:
        """Read a recipe, a file or one of the package by name, and apply `key.sub=value` overrides (values are YAML).

        A file that says `base: other.yaml` (beside it) states only what differs from that one, key by key. `options`
        are those of a method: they are not taken over where the two files name different methods.

        Raises:
            RecipeError: no such file, not YAML, or an unknown key or value; says where, and what is nearest.
        """
        return cls.from_dict(read_settings(find_recipe(path), overrides), str(path))

    @classmethod
    def from_yaml(cls, text: str, overrides: Sequence[str] = (), source: str = "recipe") -> Self:
        """As `load`, from the text of a recipe; `source` names it in errors."""
        return cls.from_dict(with_overrides(_parse(text, source), overrides), source)

    @classmethod
    def from_dict(cls, settings: dict[str, Any], source: str = "recipe") -> Self:
        """Validate nested settings. Raises RecipeError with one line for each wrong entry."""
        try:
            return cls.model_validate(_with_new_names(settings, cls.old_keys, source))
        except ValidationError as error:
            raise RecipeError(f"{source}: {explain(error, cls)}") from error

    def to_yaml(self) -> str:
        """The complete recipe, defaults included, as YAML that `load` reads back equal."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    def flat(self) -> dict[str, Any]:
        """Every setting by its dotted key: `{"training.epochs": 10, ...}`."""
        return dict(_flat(self.model_dump(mode="json"), ""))


def recipe_folder() -> Path:
    """Where the recipes and plans that come with the package are."""
    return Path(__file__).resolve().parents[2] / "recipes"


def find_recipe(name: Path | str) -> Path:
    """The file of a recipe: a path, or the name of a recipe of the package.

    Raises:
        RecipeError: a bare name that is neither; names the nearest.

    Examples:
        >>> find_recipe("phantom_clip").name
        'phantom_clip.yaml'
    """
    path, packaged = Path(name), recipe_folder() / f"{name}.yaml"
    if path.exists() or path.name != str(name) or path.suffix:
        return path
    if not packaged.is_file():
        names = sorted(file.stem for file in recipe_folder().glob("*.yaml"))
        raise RecipeError(f"There is no recipe {name}, as a file or in the package; {did_you_mean(name, names)}")
    return packaged


def read_settings(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The nested settings of a recipe file on its base, with overrides, not validated yet.

    Raises:
        RecipeError: no such file, not YAML, or an override that is none.
    """
    return with_overrides(_read(path, ()), overrides)


def with_overrides(settings: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A copy of nested settings with `key.sub=value` applied; `training.max_steps` replaces a file's `training.epochs`.

    Raises:
        RecipeError: an override that is none.
    """
    settings = deepcopy(settings)
    for override in overrides:
        _override(settings, override)
    names = {override.partition("=")[0].strip() for override in overrides}
    if "training.max_steps" in names and "training.epochs" not in names:
        settings["training"].pop("epochs", None)  # of the file; who overrides the steps wants that many
    return settings


def _with_new_names(settings: dict[str, Any], old_keys: Mapping[str, str], source: str) -> dict[str, Any]:
    """A copy in which keys of an earlier version have the names of today; each is named in a warning."""
    settings = deepcopy(settings)
    for old, new in old_keys.items():
        *parents, last = old.split(".")
        level: Any = settings
        for parent in parents:
            level = level.get(parent) if isinstance(level, dict) else None
        if isinstance(level, dict) and last in level:
            value = level.pop(last)
            if not level and parents:  # the last key of a part that is no more
                settings.pop(parents[0])
            if value is None:
                continue
            warnings.warn(f"{source}: {old} is called {new} now; the old name will be refused", FutureWarning, 4)
            _set_key(settings, new, value, f"{source}: {old}")
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
    return deep_merge(_read(path.parent / str(base), (*inside, path.resolve())), settings)


def _parse(text: str, source: str) -> dict[str, Any]:
    try:
        settings = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{source} is not valid YAML: {error}") from error
    if not isinstance(settings, dict):
        raise RecipeError(f"{source} holds no `key: value` lines.")
    return settings


def deep_merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
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
    _set_key(settings, name.strip(), value, f"Override {override!r}")


def _set_key(settings: dict[str, Any], name: str, value: Any, source: str) -> None:
    *parents, last = name.split(".")
    level = settings
    for depth, parent in enumerate(parents):
        level = level.setdefault(parent, {})
        if not isinstance(level, dict):
            raise RecipeError(f"{source}: {'.'.join(parents[: depth + 1])} holds a value, not keys.")
    level[last] = value
