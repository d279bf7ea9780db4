"""Severity, temporality, size and location of the findings of a clause."""

from __future__ import annotations

from medvlp.reports.assertion import Spoken
from medvlp.reports.lexicon import Match
from medvlp.reports.place import Location

_MILLIMETRES = {"mm": 1.0, "cm": 10.0, "millimeter": 1.0, "millimeters": 1.0, "centimeter": 10.0, "centimeters": 10.0}
_DISTANCE = frozenset(
    ["above", "below", "from", "proximal", "distal", "beyond", "inferior", "superior", "past", "within", "into"]
)


def owner(first: int, last: int, spoken: list[Spoken], forward: bool) -> Spoken | None:
    """The finding that a modifier at words `first..last` belongs to: the next one or the one before it."""
    following = next((s for s in spoken if s.first > last), None)
    inside = next((s for s in spoken if s.first <= last and first <= s.last), None)
    preceding = next((s for s in reversed(spoken) if s.last < first), None)
    if inside:
        return inside
    return (following or preceding) if forward else (preceding or following)


def severities(spoken: list[Spoken], matches: list[Match]) -> dict[int, str]:
    """Index of a finding -> its severity word."""
    found = {k: s.match.term.severity for k, s in enumerate(spoken) if s.match.term.severity}
    for match in matches:
        if match.term.severity and not match.term.finding:
            near = owner(match.first, match.last, spoken, forward=True)
            if near:
                found.setdefault(_index(spoken, near), match.term.severity)
    return found


def temporalities(spoken: list[Spoken], matches: list[Match]) -> dict[int, str]:
    """Index of a finding -> its temporality."""
    found = {k: s.cue.time for k, s in enumerate(spoken) if s.cue and s.cue.time}
    for match in matches:
        if match.term.time:
            following = next((s for s in spoken if s.first > match.last), None)
            leads = following is not None and following.first - match.last <= 5
            near = owner(match.first, match.last, spoken, forward=leads)
            if near:
                found.setdefault(_index(spoken, near), match.term.time)
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
        if numbers and near:
            index = _index(spoken, near)
            found[index] = max(found.get(index, 0.0), max(numbers) * scale)
    return found


def locations_by_finding(spoken: list[Spoken], locations: list[Location]) -> dict[int, Location]:
    """Index of a finding -> its location: what follows a preposition belongs to the finding before it.

    A side alone completes a region that came without one: "the lungs are clear on the left".
    """
    found: dict[int, Location] = {}
    for location in locations:
        near = owner(location.first, location.last, spoken, forward=not location.after_preposition)
        if near:
            stated = found.setdefault(_index(spoken, near), location)
            if stated.side is None and location.region is None:
                found[_index(spoken, near)] = stated._replace(side=location.side)
    return found


def _index(spoken: list[Spoken], one: Spoken) -> int:
    return next(k for k, s in enumerate(spoken) if s is one)


def _is_number(word: str) -> bool:
    return word[0].isdigit()
