"""`PLACES`, the 51 places; the (finding, place, assertion) triples of a report and the tensor of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from medvlp.reports.report import Assertion, Mention, Report
from medvlp.reports.states import FindingState

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

_STATES = {"present": FindingState.PRESENT, "absent": FindingState.ABSENT, "uncertain": FindingState.UNCERTAIN}
# The stronger of two statements about one cell counts: position in this order, read back after the maximum.
_ORDER = np.array(
    [FindingState.UNMENTIONED, FindingState.ABSENT, FindingState.UNCERTAIN, FindingState.PRESENT], dtype=np.int8
)
_RANK = {FindingState(state): rank for rank, state in enumerate(_ORDER)}
_PLACE_INDEX = {place: index for index, place in enumerate(PLACES)}


class Triple(NamedTuple):
    """What a report says of one finding in one place; `place` is `unspecified` where the sentence names none."""

    finding: str
    place: str
    assertion: Assertion


def report_triples(report: Report) -> list[Triple]:
    """One triple for each mention and place, in the order of the text."""
    return [Triple(m.finding, place, m.assertion) for m in report.mentions for place in mention_places(m)]


def mention_places(mention: Mention) -> list[str]:
    """The places of a mention: its own, and both sides of it where it is bilateral."""
    place = mention.place or "unspecified"
    if mention.side == "bilateral" and place.endswith("_unspec"):
        region = place.removesuffix("_unspec")
        return [place, f"left_{region}", f"right_{region}"]
    return [place]


def place_states(
    report: Report,
    findings: Sequence[str],
    uncertain: FindingState = FindingState.UNCERTAIN,
    kinds: Callable[[str], Collection[str]] | None = None,
) -> NDArray[np.int8]:
    """What the report says of each finding in each place.

    Over several mentions the strongest counts: present, then uncertain, then absent. With
    `uncertain=FindingState.UNMENTIONED` this is the existence tensor of MedKLIP, where doubts are left out.

    Args:
        report: a parsed report.
        findings: F finding ids, the rows.
        uncertain: the state that a doubted finding gets.
        kinds: gives the findings that a finding is a kind of, which its presence and doubt raise as well, such as
            `medvlp.knowledge.study_labels.counts_as`.

    Returns:
        int8 `[F, 51]` in the four states of `FindingState`, columns in the order of `PLACES`.
    """
    row_of = {finding: row for row, finding in enumerate(findings)}
    rank = np.zeros((len(findings), len(PLACES)), dtype=np.int8)
    for mention in report.mentions:
        state = uncertain if mention.assertion == "uncertain" else _STATES[mention.assertion]
        above = kinds(mention.finding) if kinds and mention.assertion != "absent" else ()
        rows = [row_of[f] for f in (mention.finding, *above) if f in row_of]
        for place in mention_places(mention):
            column = _PLACE_INDEX[place]
            rank[rows, column] = np.maximum(rank[rows, column], _RANK[state])
    return _ORDER[rank]
