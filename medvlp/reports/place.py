"""Where a finding lies: the 51 places of the triple tensors and the locations that a clause states."""

from __future__ import annotations

from typing import NamedTuple, cast

from medvlp.reports.lexicon import Match, Region
from medvlp.reports.report import Side

# Names and order follow the anatomical queries of MedKLIP (Wu et al., ICCV 2023).
PLACES: tuple[str, ...] = (
    "trachea",
    "left_hilar",
    "right_hilar",
    "hilar_unspec",
    "left_pleural",
    "right_pleural",
    "pleural_unspec",
    "heart_size",
    "heart_border",
    "left_diaphragm",
    "right_diaphragm",
    "diaphragm_unspec",
    "retrocardiac",
    "lower_left_lobe",
    "upper_left_lobe",
    "lower_right_lobe",
    "middle_right_lobe",
    "upper_right_lobe",
    "left_lower_lung",
    "left_mid_lung",
    "left_upper_lung",
    "left_apical_lung",
    "left_lung_unspec",
    "right_lower_lung",
    "right_mid_lung",
    "right_upper_lung",
    "right_apical_lung",
    "right_lung_unspec",
    "lung_apices",
    "lung_bases",
    "left_costophrenic",
    "right_costophrenic",
    "costophrenic_unspec",
    "cardiophrenic_sulcus",
    "mediastinal",
    "spine",
    "clavicle",
    "rib",
    "stomach",
    "right_atrium",
    "right_ventricle",
    "aorta",
    "svc",
    "interstitium",
    "parenchymal",
    "cavoatrial_junction",
    "cardiopulmonary",
    "pulmonary",
    "lung_volumes",
    "unspecified",
    "other",
)

_PREPOSITIONS = frozenset(
    [
        "in",
        "at",
        "of",
        "within",
        "along",
        "throughout",
        "over",
        "overlying",
        "near",
        "involving",
        "on",
        "from",
        "into",
        "above",
        "below",
    ]
)
_ARTICLES = frozenset(["the", "a", "an", "its", "this", "that"])


class Location(NamedTuple):
    """A side, a region or both, as words `first` to `last` state them."""

    first: int
    last: int
    side: Side | None
    region: Region | None
    after_preposition: bool


def find_locations(matches: list[Match], words: list[str]) -> list[Location]:
    """The locations of a clause; a side joins the region that follows it closely ("left lower lobe")."""
    found: list[Location] = []
    side: Match | None = None
    for match in matches:
        term = match.term
        if term.finding or (term.side is None and term.region is None):
            continue
        if term.region is None:
            if side:
                found.append(_location(side, None, words))
            side = match
        elif side and side.last >= match.first - 3:
            found.append(_location(side, match, words))
            side = None
        else:
            found.append(_location(match, match, words))
    if side:
        if found and found[-1].side is None and side.term.side == "bilateral":
            found[-1] = found[-1]._replace(side="bilateral", last=side.last)
        else:
            found.append(_location(side, None, words))
    return found


def _location(opening: Match, region: Match | None, words: list[str]) -> Location:
    before = opening.first - 1
    while before >= 0 and words[before] in _ARTICLES:
        before -= 1
    stated = region.term.region if region else None
    side = opening.term.side or (region.term.side if region else None) or (stated.side if stated else None)
    return Location(
        opening.first,
        (region or opening).last,
        cast(Side | None, side),
        stated,
        before >= 0 and words[before] in _PREPOSITIONS,
    )


def places_of(side: str | None, region: Region) -> list[tuple[str | None, str | None]]:
    """`[(place, side)]` of a region on a side; two where both sides are meant and no place stands for both."""
    if side == "left":
        return [(region.left, side)]
    if side == "right":
        return [(region.right, side)]
    if side == "bilateral":
        return [(region.both, side)] if region.both else [(region.left, "left"), (region.right, "right")]
    return [(region.unsided, side)]
