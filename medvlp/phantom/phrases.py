"""`phrases`: the words of the reports, read from `wording/*.yaml`, and the small grammar that they are written in.

`[a|b|c]` is one of several, nested as needed. `{slot}` is filled in; empty slots vanish with their spaces.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from numpy.random import Generator

_CHOICE = re.compile(r"\[([^\[\]]*)\]")


@cache
def phrases(name: str) -> dict[str, Any]:
    """The phrases of a finding, or of the `report` as a whole."""
    return yaml.safe_load((Path(__file__).parent / "wording" / f"{name}.yaml").read_text())


def choose(rng: Generator, options: list[str]) -> str:
    """One of several."""
    return options[int(rng.integers(len(options)))]


def expand(rng: Generator, template: str, slots: Mapping[str, str] | None = None) -> str:
    """One sentence from a template, with its first letter raised and `a` or `an` as the next word wants it."""
    while match := _CHOICE.search(template):
        template = template[: match.start()] + choose(rng, match.group(1).split("|")) + template[match.end() :]
    text = template.format_map(slots or {})
    text = re.sub(r" +([,.])", r"\1", re.sub(r"(?<=\S) +(?=\S)", " ", text)).strip()
    text = re.sub(r"\b([Aa]) (?=[aeiouAEIOU]|8|11 |18 )", r"\1n ", text)
    return text[:1].upper() + text[1:]
