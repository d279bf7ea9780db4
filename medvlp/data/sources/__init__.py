"""Public data sets, one file each: `manifest(root, ...) -> Manifest`. What is peculiar to a data set ends there."""

from __future__ import annotations

import difflib
import inspect
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from medvlp.data.manifest import Manifest

_PARTS = {"assembly", "csv_tables", "dicom_keys", "dicom_series"}  # what sources share; not sources

_YES_NO = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def names() -> list[str]:
    """The sources that `load` knows."""
    return sorted(m.name for m in iter_modules(__path__) if m.name not in _PARTS)


def load(name: str, root: str | Path, **options: Any) -> Manifest:
    """The manifest of a data set.

    Args:
        name: of the source, such as `mimic_cxr`; `names()` lists them.
        root: the folder that its download was unpacked in.
        options: of the source's own `manifest` function.

    Raises:
        ValueError: no such source or option; names the nearest.
        FileNotFoundError: the folder does not have the source's layout; says which file is missing.
    """
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=2)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names())}"
        raise ValueError(f"unknown data set {name!r}; {hint} (`folder` reads any folder of images)")
    root = Path(root)
    if not root.exists():
        raise FileNotFoundError(f"{root} does not exist; give the folder that {name} was unpacked in")
    index = import_module(f"{__name__}.{name}").manifest
    known = dict(list(inspect.signature(index).parameters.items())[1:])
    for option in options:
        if option not in known:
            near = difflib.get_close_matches(option, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known) or 'none'}"
            raise ValueError(f"{name} has no option {option!r}; {hint}")
    return index(root, **{option: _value(value, known[option]) for option, value in options.items()})


def _value(value: Any, parameter: inspect.Parameter) -> Any:
    """An option as the command line gives it, in the parameter's type where that is yes or no."""
    if parameter.annotation != "bool" or not isinstance(value, str):
        return value
    if value.lower() not in _YES_NO:
        raise ValueError(f"option {parameter.name} is {value!r}; give yes or no")
    return _YES_NO[value.lower()]
