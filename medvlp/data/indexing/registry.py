"""`SOURCES`: the data sources by name, and `index_data_set`, which calls one with options as text.

A source is a function `manifest(root, ...) -> Manifest` that is registered by `@register_source("name")`, in a file of
`medvlp/data/sources/`, in an installed package that names it as an entry point of the group `medvlp.sources`
(`name = "module:function"`), or in the user's own code.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

from medvlp.data.manifest import Manifest
from medvlp.errors import MedVLPError, did_you_mean
from medvlp.io.image import Image
from medvlp.registry import Registry

Source = Callable[..., Manifest]


def check_source(member: object) -> None:
    """Raise TypeError for what is no function of a folder."""
    if not callable(member) or not list(inspect.signature(member).parameters):
        raise TypeError(f"a data source is a function of a folder, manifest(root, ...); got {member!r}")


SOURCES: Registry[Source] = Registry("data source", "medvlp.data.sources", "medvlp.sources", check_source)
VOLUME_READERS: Registry[Callable[[Path], Image]] = Registry("volume reader")  # filled by `register_source`


class SourceError(MedVLPError, ValueError):
    """A source was given an option that it does not have, or a value that the option cannot take."""


def register_source(name: str, read_volume: Callable[[Path], Image] | None = None) -> Callable[[Source], Source]:
    """Decorator: make `manifest(root, ...) -> Manifest` known as the data source `name`.

    Args:
        name: as `medvlp data index NAME` and the column `source` have it.
        read_volume: reads one file of the data set into an `Image` in Hounsfield units, axes to the head, the front and
            the right; for `.npz` files, which do not say how their array lies. It raises `ReadError` for a bad file.

    Examples:
        >>> import pandas as pd
        >>> from medvlp.data import Manifest, SOURCES, register_source
        >>> @register_source("one_image")
        ... def manifest(root):
        ...     ids = dict.fromkeys(("patient_id", "study_id", "image_id"), ["1"])
        ...     return Manifest(pd.DataFrame({**ids, "path": [f"{root}/1.png"]}))
        >>> "one_image" in SOURCES
        True
    """
    if read_volume is not None:
        VOLUME_READERS.add(name, read_volume)
    return SOURCES.register(name)


def volume_reader(source: str) -> Callable[[Path], Image] | None:
    """The function by which a data source reads its own kind of volume file, or None."""
    return VOLUME_READERS.get(source) if source in SOURCES and source in VOLUME_READERS else None


def index_data_set(name: str, root: str | Path, **options: Any) -> Manifest:
    """The manifest of a data set.

    Args:
        name: of the source, such as `mimic_cxr`; `SOURCES.names()` lists them.
        root: the folder that its download was unpacked in.
        options: of the source's function; text is converted where the function says `bool`, `int` or `float`.

    Raises:
        UnknownMemberError: there is no such source; names the nearest.
        SourceError: there is no such option, or it cannot take the value; says which it has.
        FileNotFoundError: the folder does not have the source's layout; says which file is missing.
    """
    source = SOURCES.get(name)
    root = Path(root)
    if not root.exists():
        raise FileNotFoundError(f"{root} does not exist; give the folder that {name} was unpacked in")
    known = dict(list(inspect.signature(source).parameters.items())[1:])
    types = get_type_hints(source)
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())  # and checks them itself
    for option in options:
        if option not in known and not takes_any:
            raise SourceError(f"{name} has no option {option!r}; {did_you_mean(option, known) or 'it has none'}")
    return source(root, **{o: _converted(o, value, types.get(o, str)) for o, value in options.items()})


_BOOLEANS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def _converted(option: str, value: Any, wanted: Any) -> Any:
    """An option as the command line gives it, in the type of its parameter."""
    if not isinstance(value, str):
        return value
    if wanted is bool:
        if value.lower() not in _BOOLEANS:
            raise SourceError(f"option {option} is {value!r}; give yes or no")
        return _BOOLEANS[value.lower()]
    if wanted in (int, float):
        try:
            return wanted(value)
        except ValueError:
            raise SourceError(f"option {option} is {value!r}; give a number") from None
    choices = typing.get_args(wanted) if typing.get_origin(wanted) is typing.Literal else ()
    if choices and value not in choices:
        raise SourceError(f"option {option} is {value!r}; {did_you_mean(value, choices)}")
    return value
