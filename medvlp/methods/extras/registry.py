"""The extras by name. A file in this folder that says `@register_extra("name")` is all that a new one needs."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from importlib import import_module
from typing import TypeVar

import medvlp.methods.extras
from medvlp.methods.extras.base import Extra

Kind = TypeVar("Kind", bound=type[Extra])
_EXTRAS: dict[str, type[Extra]] = {}


def register_extra(name: str) -> Callable[[Kind], Kind]:
    """Class decorator: make an extra known to recipes under `name`.

    Raises:
        ValueError: the name belongs to another class.
    """

    def keep(cls: Kind) -> Kind:
        if _EXTRAS.setdefault(name, cls) is not cls:
            raise ValueError(f"the extra {name!r} is already {_EXTRAS[name].__module__}.{_EXTRAS[name].__qualname__}")
        return cls

    return keep


def extras_by_name() -> dict[str, type[Extra]]:
    """All registered extras, sorted by name. The files of this folder are imported at the first call."""
    for module in pkgutil.iter_modules(medvlp.methods.extras.__path__):
        import_module(f"medvlp.methods.extras.{module.name}")
    return dict(sorted(_EXTRAS.items()))
