"""`locate`: the side and region of each finding of a clause."""

from __future__ import annotations

from typing import NamedTuple, cast

from medvlp.reports.finding_spans import LISTED, FindingSpan, owner
from medvlp.reports.lexicon import Lexicon, Match, Region
from medvlp.reports.report import Side

_ANYWHERE_IN_LUNG, _LUNG = "unstated_lung", "lung"
_LISTING = frozenset({"and", "or", ","})


class Location(NamedTuple):
    """A side, a region or both, as words `first` to `last` state them."""

    first: int
    last: int
    side: Side | None
    region: Region | None
    backward: bool  # belongs to the finding before it: after a preposition, or before a comma


def find_locations(matches: list[Match], words: list[str], lexicon: Lexicon) -> list[Location]:
    """The locations of a clause in order; a side joins the region that follows it closely ("left lower lobe")."""
    found: list[Location] = []
    side: Match | None = None
    for match in matches:
        term = match.term
        if term.finding or (term.side is None and term.region is None):
            continue
        if side and (term.region is None or side.last < match.first - 3):
            found.append(_location(side, None, words, lexicon))
            side = None
        if term.region is None:
            side = match
        else:
            found.append(_location(side or match, match, words, lexicon))
            side = None
    if side:
        found.append(_location(side, None, words, lexicon))
    return found


def _location(opening: Match, region: Match | None, words: list[str], lexicon: Lexicon) -> Location:
    before = opening.first - 1
    while before >= 0 and words[before] in lexicon.qualifiers:
        before -= 1
    last = (region or opening).last
    stated = region.term.region if region else None
    side = opening.term.side or (region.term.side if region else None) or (stated.side if stated else None)
    backward = (before >= 0 and words[before] in lexicon.prepositions) or words[last + 1 : last + 2] == [","]
    return Location(opening.first, last, cast("Side | None", side), stated, backward)


_SidedRegion = tuple[Side | None, Region]


def locate(
    spans: list[FindingSpan], matches: list[Match], words: list[str], lexicon: Lexicon
) -> list[list[_SidedRegion]]:
    """Side and region of each finding of a clause; several where a list of places is stated.

    What follows a preposition belongs to the finding before it, and to the findings listed with that one; anything
    else to the finding after it. What a sign is taken for lies where the sign lies ("opacity at the left base may be
    atelectasis").
    """
    stated = _stated(spans, find_locations(matches, words, lexicon), words)
    found: list[list[_SidedRegion]] = []
    for k, span in enumerate(spans):
        inner, home = span.match.term, lexicon.homes[span.finding]
        implied = cast("Side | None", inner.side)
        if k in stated:
            here = [(place.side or implied, place.region or inner.region or home) for place in stated[k]]
        elif k and _is_taken_for(spans[k - 1], span):
            free = home.name == _ANYWHERE_IN_LUNG and (inner.region is None or inner.region.name == _LUNG)
            here = [
                (implied or side, region if free and region.in_lung else inner.region or home)
                for side, region in found[-1]
            ]
        else:
            here = [(implied, inner.region or home)]
        found.append([(side or cast("Side | None", region.side), region) for side, region in here])
    return found


def _stated(spans: list[FindingSpan], locations: list[Location], words: list[str]) -> dict[int, list[Location]]:
    """Index of a finding -> the locations that belong to it."""
    stated: dict[int, list[Location]] = {}
    for location in locations:
        subjects = [k for k, span in enumerate(spans) if span.from_predicate and _overlap(span, location)]
        near = owner(location.first, location.last, spans, forward=not location.backward)
        if near is not None and _stands_apart(location, spans[near], words):
            near = None
        for k in subjects or ([] if near is None else [near]):
            # "Heart and mediastinum are normal": another subject's region is not the heart's, a side may be.
            here = location if subjects or not spans[k].from_predicate else location._replace(region=None)
            if k in stated:
                _add(stated[k], here, words)
                continue
            stated[k] = [here]
            while here.backward and k and k - 1 not in stated and _listed(spans[k - 1], spans[k]):
                stated[k - 1] = stated[k]
                k -= 1
    return stated


def _stands_apart(location: Location, span: FindingSpan, words: list[str]) -> bool:
    """Whether a location is no place of the finding: after a semicolon, or another organ with a verb of its own."""
    if span.last < location.first and ";" in words[span.last : location.first]:
        return True
    outside = location.region is not None and location.region.outside
    return outside and words[location.last + 1 : location.last + 2] in (["is"], ["are"], ["appears"])


def _overlap(span: FindingSpan, location: Location) -> bool:
    return span.match.first <= location.last and location.first <= span.match.last


def _add(own: list[Location], more: Location, words: list[str]) -> None:
    """Add a further location: a side to the region before it, the other side, or another region of the list."""
    last = own[-1]
    if more.region is not None and more.region.outside and (last.region or more.first - last.last > 4):
        return  # the chest has been named, or the side belongs to it
    if more.region is None or (last.region and last.side is None and more.region.name == _LUNG):
        if last.side is None:
            own[-1] = last._replace(side=more.side, last=more.last)
        elif last.region is None and {last.side, more.side} == {"left", "right"}:
            own[-1] = last._replace(side="bilateral", last=more.last)
    elif last.region is None and more.side in (None, last.side):  # "left effusion at the base"
        own[-1] = more._replace(side=last.side)
    elif more.first - last.last <= 4 and not _LISTING.isdisjoint(words[last.last + 1 : more.first]):
        own.append(more)


def _listed(span: FindingSpan, following: FindingSpan) -> bool:
    """Whether two findings stand in one list: "atelectasis or pneumonia"."""
    return following.first - span.last < LISTED


def _is_taken_for(sign: FindingSpan, span: FindingSpan) -> bool:
    """Whether a cue between two findings makes the second an explanation of the first."""
    return bool(
        span.cue_words and span.cue and span.cue.means != "absent" and sign.last < span.cue_words[0] < span.first
    )


def places_of(side: Side | None, region: Region, home: Region) -> list[tuple[str | None, Side | None]]:
    """`[(place, side)]` of a region on a side; two where both sides are meant and no place stands for both.

    A region that has no place for the side ("along the left chest wall") leaves the finding at home.
    """
    if side == "left" or side == "right":
        return [(getattr(region, side) or getattr(home, side), side)]
    if side == "bilateral":
        for here in (region, home):
            if here.both:
                return [(here.both, side)]
            if here.left:
                return [(here.left, "left"), (here.right, "right")]
    return [(region.unsided or home.unsided, side)]
