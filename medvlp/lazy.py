"""`lazy_names`: public names of a package that are imported at their first use, since torch and others are slow."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from medvlp.errors import install_advice


def lazy_names(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package (PEP 562).

    Args:
        package: its `__name__`; its `__all__` is what `dir` lists.
        modules: public name -> the module below the package that defines it.

    Examples:
        >>> get, _ = lazy_names("medvlp.io", {"read_image": "readers"})
        >>> get("read_image").__name__
        'read_image'
    """

    def get(name: str) -> Any:
        if name not in modules:
            known = ", ".join(sys.modules[package].__all__)
            raise AttributeError(f"module {package!r} has no attribute {name!r}; it has {known}")
        try:
            return getattr(import_module(f"{package}.{modules[name]}"), name)
        except ModuleNotFoundError as error:
            if advice := install_advice(error.name or ""):
                raise ModuleNotFoundError(advice, name=error.name) from error
            raise

    def names() -> list[str]:
        public = sys.modules[package]
        return sorted({*vars(public), *public.__all__})

    return get, names
