"""Severity, temporality and size of the findings of a clause."""

from __future__ import annotations

from typing import cast

from medvlp.reports.assertion import Spoken, owner
from medvlp.reports.lexicon import Match
from medvlp.reports.report import Temporality

_MILLIMETRES = {"mm": 1.0, "cm": 10.0, "millimeter": 1.0, "millimeters": 1.0, "centimeter": 10.0, "centimeters": 10.0}
_DISTANCE = frozenset(
    ["above", "below", "from", "proximal", "distal", "beyond", "inferior", "superior", "past", "within", "into"]
)


def severities(spoken: list[Spoken], matches: list[Match]) -> dict[int, str]:
    """Index of a finding -> its severity word."""
    found = {k: s.match.term.severity for k, s in enumerate(spoken) if s.match.term.severity}
    for match in matches:
        if match.term.severity and not match.term.finding:
            near = owner(match.first, match.last, spoken, forward=True)
            if near is not None:
                found.setdefault(near, match.term.severity)
    return found


def temporalities(spoken: list[Spoken], matches: list[Match]) -> dict[int, Temporality]:
    """Index of a finding -> its temporality."""
    found = {k: cast(Temporality, s.cue.time) for k, s in enumerate(spoken) if s.cue and s.cue.time}
    for match in matches:
        if match.term.time:
            following = next((s for s in spoken if s.first > match.last), None)
            leads = following is not None and following.first - match.last <= 5
            near = owner(match.first, match.last, spoken, forward=leads)
            # "persistent but decreased" has changed
            if near is not None and found.get(near, "unchanged") == "unchanged":
                found[near] = cast(Temporality, match.term.time)
    return found


def sizes(spoken: list[Spoken], words: list[str], first: int, last: int) -> dict[int, float]:
    """Index of a finding -> its largest stated size in millimetres; distances ("3 cm above the carina") are none."""
    found: dict[int, float] = {}
    for at in range(first, last + 1):
        scale = _MILLIMETRES.get(words[at])
        if scale is None or (at < last and words[at + 1] in _DISTANCE):
            continue
        numbers = []
        k = at - 1
        while k >= first and (_is_number(words[k]) or words[k] in ("x", "by", "mm", "cm")):
            if _is_number(words[k]):
                numbers.append(float(words[k]))
            k -= 1
        near = owner(k + 1, at, spoken, forward=True)
        if numbers and near is not None:
            found[near] = max(found.get(near, 0.0), max(numbers) * scale)
    return found


def _is_number(word: str) -> bool:
    return word[0].isdigit()
