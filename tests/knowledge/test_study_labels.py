"""Study labels from mentions, by the hierarchy."""

import pytest

from medvlp.knowledge import LabelSpace, load_findings
from medvlp.knowledge.study_labels import study_labels
from medvlp.reports import FindingState, parse_report

U, ABSENT, PRESENT, UNCERTAIN = FindingState(-1), FindingState(0), FindingState(1), FindingState(2)


def _state(text, finding, hedged="keep"):
    return study_labels(parse_report(text), [finding], hedged)[finding]


@pytest.mark.parametrize(
    ("text", "finding", "state"),
    [
        ("Consolidation.", "consolidation", PRESENT),
        ("Consolidation.", "lung_opacity", PRESENT),
        ("Possible consolidation.", "lung_opacity", UNCERTAIN),
        ("No consolidation.", "lung_opacity", U),
        ("No opacity.", "edema", U),
        ("No fracture.", "rib_fracture", ABSENT),
        ("No fracture. Rib fracture.", "rib_fracture", PRESENT),
        ("Left PICC.", "support_devices", PRESENT),
        ("Left PICC.", "central_venous_catheter", PRESENT),
        ("Calcified granuloma.", "nodule", U),
        ("Thickened minor fissure.", "pleural_thickening", PRESENT),
        ("Loculated pleural effusion.", "pleural_effusion", PRESENT),
        ("No pleural effusion.", "loculated_pleural_effusion", ABSENT),
        ("No effusion. Possible effusion.", "pleural_effusion", UNCERTAIN),
        ("Possible effusion. Effusion.", "pleural_effusion", PRESENT),
        ("Hydropneumothorax.", "pneumothorax", PRESENT),
        ("Hydropneumothorax.", "pleural_effusion", PRESENT),
        ("", "edema", U),
    ],
)
def test_states(text, finding, state):
    assert _state(text, finding) == state


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("Normal chest.", PRESENT),
        ("No effusion or pneumothorax.", PRESENT),
        ("Endotracheal tube in place. No effusion.", PRESENT),
        ("Effusion.", ABSENT),
        ("Possible effusion.", UNCERTAIN),
        ("", U),
    ],
)
def test_no_finding(text, state):
    assert _state(text, "no_finding") == state


def test_no_finding_speaks_of_the_labels_asked_for():
    report = parse_report("Scoliosis. No effusion.")
    assert study_labels(report, LabelSpace.load("chexpert14").findings)["no_finding"] == PRESENT
    assert study_labels(report, ["no_finding"])["no_finding"] == ABSENT


def test_hedges_are_resolved_before_mentions_are_joined():
    text = "May represent pneumonia. No pneumonia."
    assert _state(text, "pneumonia", "keep") == UNCERTAIN
    assert _state(text, "pneumonia", "table") == ABSENT
    assert _state(text, "pneumonia", "present") == PRESENT


def test_order_and_completeness():
    findings = list(load_findings())
    states = study_labels(parse_report("Small left effusion."), findings)
    assert list(states) == findings
    assert {f for f, s in states.items() if s == PRESENT} == {"pleural_effusion"}
