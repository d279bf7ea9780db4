"""Triples and their tensor."""

import numpy as np

from medvlp.knowledge import places as knowledge_places
from medvlp.knowledge.study_labels import counts_as
from medvlp.reports import PLACES, FindingState, parse_report
from medvlp.reports.triples import Triple, place_states, report_triples

FINDINGS = ["pleural_effusion", "consolidation", "lung_opacity", "nodule"]


def _cell(array, finding, place):
    return array[FINDINGS.index(finding), PLACES.index(place)]


def test_the_51_places_are_those_of_the_knowledge():
    assert PLACES == knowledge_places.PLACES
    assert len(PLACES) == 51


def test_triples_follow_the_text():
    report = parse_report("Small left pleural effusion. No consolidation in the right upper lobe. Possible nodule.")
    assert report_triples(report) == [
        Triple("pleural_effusion", "left_pleural", "present"),
        Triple("consolidation", "upper_right_lobe", "absent"),
        Triple("nodule", "unspecified", "uncertain"),
    ]


def test_tensor_holds_the_four_states():
    report = parse_report("Small left pleural effusion. No consolidation in the right upper lobe. Possible nodule.")
    states = place_states(report, FINDINGS)
    assert states.shape == (4, 51)
    assert states.dtype == np.int8
    assert _cell(states, "pleural_effusion", "left_pleural") == FindingState.PRESENT
    assert _cell(states, "consolidation", "upper_right_lobe") == FindingState.ABSENT
    assert _cell(states, "nodule", "unspecified") == FindingState.UNCERTAIN
    assert (states == FindingState.UNMENTIONED).sum() == states.size - 3


def test_present_wins_over_uncertain_over_absent_in_any_order():
    for text in (
        "No left effusion. Possible left effusion. Left effusion.",
        "Left effusion. No left effusion. Possible left effusion.",
    ):
        assert _cell(place_states(parse_report(text), FINDINGS), "pleural_effusion", "left_pleural") == 1
    doubt = parse_report("Possible left effusion. No left effusion.")
    assert _cell(place_states(doubt, FINDINGS), "pleural_effusion", "left_pleural") == 2


def test_medklip_leaves_doubts_out():
    report = parse_report("Possible left effusion. No nodule.")
    states = place_states(report, FINDINGS, uncertain=FindingState.UNMENTIONED)
    assert set(np.unique(states)) == {-1, 0}


def test_a_bilateral_finding_is_on_both_sides():
    states = place_states(parse_report("Bilateral pleural effusions."), FINDINGS)
    present = {PLACES[c] for c in np.flatnonzero(states[0] == 1)}
    assert present == {"pleural_unspec", "left_pleural", "right_pleural"}


def test_presence_raises_the_kinds_that_are_given():
    states = place_states(parse_report("Consolidation in the lingula."), FINDINGS, kinds=counts_as)
    assert _cell(states, "lung_opacity", "upper_left_lobe") == 1
    states = place_states(parse_report("No consolidation in the lingula."), FINDINGS, kinds=counts_as)
    assert _cell(states, "lung_opacity", "upper_left_lobe") == -1


def test_equal_to_the_slow_table():
    text = "Left effusion. No effusion on the right. Possible nodule in the lingula. No nodule in the lingula. "
    text += "Right effusion."
    report = parse_report(text)
    slow = np.full((4, 51), -1, dtype=np.int8)
    strength = {-1: 0, 0: 1, 2: 2, 1: 3}
    for finding, place, assertion in report_triples(report):
        if finding in FINDINGS:
            r, c = FINDINGS.index(finding), PLACES.index(place)
            state = {"absent": 0, "present": 1, "uncertain": 2}[assertion]
            slow[r, c] = max(slow[r, c], state, key=lambda s: strength[int(s)])
    assert np.array_equal(place_states(report, FINDINGS), slow)
