"""Severity, temporality and size of the findings of a clause."""

from __future__ import annotations

from typing import cast

from medvlp.reports.finding_spans import LISTED, FindingSpan, owner
from medvlp.reports.lexicon import Lexicon, Match
from medvlp.reports.report import Temporality

_MILLIMETRES = {"mm": 1.0, "cm": 10.0, "millimeter": 1.0, "millimeters": 1.0, "centimeter": 10.0, "centimeters": 10.0}
_DISTANCE = frozenset(
    ["above", "below", "from", "proximal", "distal", "beyond", "inferior", "superior", "past", "within", "into"]
)

_MEASURING = frozenset(["measuring", "measures", "measured", "measure", "to", "approximately", "about", "is", "of"])


def severities(spans: list[FindingSpan], matches: list[Match], words: list[str]) -> dict[int, str]:
    """Index of a finding -> its severity word."""
    found = {k: s.match.term.severity for k, s in enumerate(spans) if s.match.term.severity}
    for match in matches:
        if match.term.severity and not match.term.finding:
            bracketed = match.first > 0 and words[match.first - 1] == "("  # "pleural effusion (small)"
            near = owner(match.first, match.last, spans, forward=not bracketed)
            if near is not None:
                found.setdefault(near, match.term.severity)
    return found


def temporalities(
    spans: list[FindingSpan], matches: list[Match], words: list[str], lexicon: Lexicon
) -> dict[int, Temporality]:
    """Index of a finding -> its temporality: a word of change before it, or the predicate of it and its list."""
    found = {k: cast("Temporality", s.cue.time) for k, s in enumerate(spans) if s.cue and s.cue.time}
    for n, match in enumerate(matches):
        if not match.term.time or _is_predicate(match, spans):
            continue
        following = next((s for s in spans if s.first > match.last), None)
        parted = n + 1 < len(matches) and matches[n + 1].term.join is not None
        predicated = match.first > 0 and words[match.first - 1] in lexicon.copulas
        leads = following is not None and following.first - match.last <= 5 and not (parted and predicated)
        near = owner(match.first, match.last, spans, forward=leads)
        while near is not None and found.get(near, "unchanged") in ("unchanged", "prior"):
            found[near] = cast("Temporality", match.term.time)  # "persistent but decreased" has changed
            shared = predicated and near > 0 and spans[near].first - spans[near - 1].last < LISTED
            near = near - 1 if shared else None
    return found


def _is_predicate(match: Match, spans: list[FindingSpan]) -> bool:
    """Whether the word has made a reading already: "increased interstitial markings" need not have increased."""
    return bool(match.term.adjective) and any(s.from_predicate and s.first <= match.first <= s.last for s in spans)


def sizes(spans: list[FindingSpan], words: list[str], first: int, last: int) -> dict[int, float]:
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
        near = owner(k + 1, at, spans, forward=k < first or words[k] not in _MEASURING)
        if numbers and near is not None:
            found[near] = max(found.get(near, 0.0), max(numbers) * scale)
    return found


def _is_number(word: str) -> bool:
    return word[0].isdigit()
