"""What is wrong with a recipe, in words: full path of the key, what was given, and the nearest valid names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from medvlp.errors import MedVLPError, did_you_mean


class RecipeError(MedVLPError, ValueError):
    """A recipe that cannot be run; the message says where it is wrong and what is valid there."""


def name_nearest(path: str, given: object, valid: Iterable[str]) -> str:
    """One sentence for a value that is none of `valid`: the nearest of them, and all where they are few.

    Examples:
        >>> name_nearest("training.metric", "aurocc", ["auroc", "loss"])
        'training.metric: "aurocc" is unknown; did you mean "auroc"? Valid: auroc, loss.'
    """
    names = sorted(valid)
    advice = did_you_mean(given, names, show=30)
    listed = f" Valid: {', '.join(names)}." if advice.endswith("?") and len(names) <= 30 else ""
    ending = "" if advice.endswith("?") else "."
    return f'{path}: "{given}" is unknown; {advice}{ending}{listed}'


def explain(error: ValidationError, model: type[BaseModel], prefix: str = "") -> str:
    """All complaints of a pydantic error about `model`, one a line.

    Args:
        error: what pydantic raised.
        model: the model that was validated.
        prefix: path of the model inside the recipe, e.g. `options`.
    """
    lines = [_complaint(dict(entry), model, prefix) for entry in error.errors()]
    return lines[0] if len(lines) == 1 else "\n" + "\n".join(f"  - {line}" for line in lines)


def key_paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every dotted key of a model and of the models nested in it."""
    for name, field in model.model_fields.items():
        path = f"{prefix}.{name}" if prefix else name
        yield path
        if nested := _nested(field.annotation):
            yield from key_paths(nested, path)


def _complaint(entry: dict[str, Any], model: type[BaseModel], prefix: str) -> str:
    location = [str(part) for part in entry["loc"]]
    path = ".".join(([prefix] if prefix else []) + location)
    given = entry["input"]
    if entry["type"] == "extra_forbidden":
        entry_of = _model_at(model, location[:-1])
        within = key_paths(entry_of, path.rpartition(".")[0]) if entry_of else ()
        return _unknown_key(path, list(dict.fromkeys([*key_paths(model, prefix), *within])))
    if entry["type"] == "missing":
        return f"{path} is missing."
    if entry["type"] == "literal_error":
        return name_nearest(path, given, _literal_values(model, location))
    if not location and entry["type"] == "value_error":  # of settings together; the whole recipe is nothing to repeat
        return f"{entry['ctx']['error']}."
    return f"{path}: {entry['msg']} (given: {given!r})."


def _unknown_key(path: str, valid: Sequence[str]) -> str:
    """Nearest by what a person gets wrong: the letters of a key at the right level, or the level of a right key."""
    parent, _, name = path.rpartition(".")
    siblings = {key.rpartition(".")[2]: key for key in valid if key.rpartition(".")[0] == parent}
    moved = [key for key in valid if key.rpartition(".")[2] == name]
    near = [siblings[match] for match in difflib.get_close_matches(name, siblings, n=3, cutoff=0.6)]
    near = near or moved or difflib.get_close_matches(path, valid, n=3, cutoff=0.6)
    if near:
        return f"{path} is not a key; did you mean {_either(near)}?"
    return f"{path} is not a key; valid here: {', '.join(sorted(siblings)) or 'no keys'}."


def _literal_values(model: type[BaseModel], location: Sequence[str]) -> list[str]:
    for part in location[:-1]:
        annotation = model.model_fields[part].annotation
        nested = _nested(annotation)
        if nested is None:  # an entry of a list
            return [str(value) for value in _leaves(annotation)]
        model = nested
    return [str(value) for value in _leaves(model.model_fields[location[-1]].annotation)]


def _leaves(annotation: Any) -> Iterator[Any]:
    """The values of the `Literal`s inside an annotation."""
    for argument in get_args(annotation):
        if isinstance(argument, str | int | float | bool):
            yield argument
        elif argument is not type(None):
            yield from _leaves(argument)


def _nested(annotation: Any) -> type[BaseModel] | None:
    """The pydantic model inside `Model` or `Model | None`, if there is one."""
    candidates = get_args(annotation) if get_origin(annotation) in (Union, type(int | None)) else (annotation,)
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def _model_at(model: type[BaseModel], location: Sequence[str]) -> type[BaseModel] | None:
    """The model of the entry that stands at a location: by the keys of models, the names and places of containers."""
    here: Any = model
    for part in location:
        inner = _nested(here)
        if inner is None:  # a dict or tuple of models
            here = next((a for a in get_args(here) if _nested(a)), None)
        else:
            here = inner.model_fields[part].annotation
    return _nested(here)


def _either(names: Sequence[str]) -> str:
    return " or ".join(f'"{name}"' if "." not in name else name for name in names)
