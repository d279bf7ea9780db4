"""Maps between label spaces, against hand-made rows and a slow loop over the meaning of each label."""

from __future__ import annotations

import numpy as np
import pytest

from medvlp.knowledge import ConceptGraph, LabelMap, LabelSpace

ABSENT, PRESENT, UNCERTAIN, UNMENTIONED = 0, 1, 2, -1


def row(space: LabelSpace, **states: int) -> np.ndarray:
    values = np.full((1, len(space)), UNMENTIONED, dtype=np.int8)
    for finding, state in states.items():
        values[0, space.index(finding)] = state
    return values


def read(space: LabelSpace, states: np.ndarray) -> dict[str, int]:
    return {f: int(s) for f, s in zip(space.findings, states[0], strict=True) if s != UNMENTIONED}


PADCHEST, CHEXPERT, NIH = (LabelSpace.load(name) for name in ("padchest", "chexpert14", "nih14"))


def test_a_narrow_label_affirms_the_broad_one_and_never_denies_it() -> None:
    to_chexpert = LabelMap.between(PADCHEST, CHEXPERT)
    assert read(CHEXPERT, to_chexpert.states(row(PADCHEST, linear_atelectasis=PRESENT))) == {
        "atelectasis": PRESENT,
        "lung_opacity": PRESENT,
    }
    assert read(CHEXPERT, to_chexpert.states(row(PADCHEST, linear_atelectasis=ABSENT))) == {}
    assert read(CHEXPERT, to_chexpert.states(row(PADCHEST, linear_atelectasis=UNCERTAIN))) == {
        "atelectasis": UNCERTAIN,
        "lung_opacity": UNCERTAIN,
    }


def test_a_broad_label_denies_the_kinds_that_bear_its_name_and_affirms_none() -> None:
    to_padchest = LabelMap.between(CHEXPERT, PADCHEST)
    denied = read(PADCHEST, to_padchest.states(row(CHEXPERT, fracture=ABSENT)))
    assert denied == dict.fromkeys(
        ("fracture", "clavicle_fracture", "vertebral_fracture", "humeral_fracture", "rib_fracture"), ABSENT
    )
    assert read(PADCHEST, to_padchest.states(row(CHEXPERT, fracture=PRESENT))) == {"fracture": PRESENT}
    to_nih = LabelMap.between(CHEXPERT, NIH)
    assert read(NIH, to_nih.states(row(CHEXPERT, lung_opacity=ABSENT, enlarged_cardiomediastinum=ABSENT))) == {}


def test_presence_wins_over_uncertainty_and_absence() -> None:
    to_chexpert = LabelMap.between(PADCHEST, CHEXPERT)
    states = row(PADCHEST, nodule=PRESENT, multiple_nodules=UNCERTAIN, lung_metastasis=ABSENT)
    assert read(CHEXPERT, to_chexpert.states(states))["lung_lesion"] == PRESENT


def test_no_finding_denies_only_when_asked() -> None:
    to_nih = LabelMap.between(CHEXPERT, NIH)
    states = row(CHEXPERT, no_finding=PRESENT)
    assert read(NIH, to_nih.states(states)) == {}
    assert read(NIH, to_nih.states(states, exclusions=True)) == dict.fromkeys(NIH.findings, ABSENT)


def test_a_space_maps_to_itself() -> None:
    states = np.random.default_rng(0).integers(-1, 3, (50, 14)).astype(np.int8)
    np.testing.assert_array_equal(LabelMap.between(NIH, NIH).states(states), states)


def test_equal_to_a_slow_loop() -> None:
    graph, mapped = ConceptGraph.load(), LabelMap.between(PADCHEST, CHEXPERT)
    states = (
        np.random.default_rng(1).choice([-1, 0, 1, 2], (30, len(PADCHEST)), p=[0.9, 0.05, 0.03, 0.02]).astype(np.int8)
    )
    for source, result in zip(states, mapped.states(states), strict=True):
        said = dict(zip(PADCHEST.findings, source.tolist(), strict=True))
        for finding, state in zip(CHEXPERT.findings, result.tolist(), strict=True):
            below = {said.get(f) for f in (finding, *graph.descendants(finding))}
            above = {said.get(f) for f in (finding, *graph.ancestors(finding)) if f"_{finding}".endswith(f"_{f}")}
            expected = 1 if 1 in below else 2 if 2 in below else 0 if 0 in above else -1
            assert state == expected, finding


def test_covered_says_what_can_be_tested() -> None:
    covered = LabelMap.between(NIH, CHEXPERT).covered
    assert covered[CHEXPERT.index("Cardiomegaly")]
    assert not covered[CHEXPERT.index("Lung Lesion")]
    assert not covered[CHEXPERT.index("Fracture")]


def test_wrong_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="nih14"):
        LabelMap.between(NIH, CHEXPERT).states(np.zeros((2, 13), dtype=np.int8))
