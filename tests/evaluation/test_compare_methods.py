"""The table of a comparison on runs made by hand: every figure against one that is computed the slow way."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medvlp.evaluation.compare_methods import ComparisonResult, compare_methods
from medvlp.evaluation.label_scores import LabelScores
from medvlp.evaluation.measured_run import MeasuredRun
from medvlp.metrics import bootstrap_by_patient, image_mean, macro_auroc, paired_difference
from medvlp.tasks.admission import TaskError

NAMES = ("edema", "pneumothorax", "mass")
IMAGES, PATIENTS = 80, 40


def run(skill: float, seed: int, text: bool = True, truth_seed: int = 0) -> MeasuredRun:
    states = np.random.default_rng(truth_seed).choice([0, 1, 2], size=(IMAGES, 3), p=[0.5, 0.4, 0.1]).astype(np.int8)
    states[:, 2] = 0  # nobody has a mass
    noise = np.random.default_rng([1, seed]).normal(size=(IMAGES, 3))
    patients = np.array([f"p{i % PATIENTS}" for i in range(IMAGES)], object)
    ids = {"image_id": [f"i{i}" for i in range(IMAGES)], "patient_id": patients}
    values = np.random.default_rng([2, seed]).random(IMAGES)
    return MeasuredRun(
        scored=LabelScores(
            names=NAMES,
            image_ids=np.array(ids["image_id"], object),
            patient_ids=patients,
            scores=(noise + skill * (states == 1)).astype(np.float32),
            states=states,
            protocol={"unmentioned": "ignore", "images": IMAGES, "patients": PATIENTS},
            notice="made up",
        ),
        retrieval=pd.DataFrame(ids | {"finding_precision@5": values, "finding_precision_chance": values / 2})
        if text
        else None,
        grounding=pd.DataFrame(ids | {"finding": "edema", "pointing": values > 0.4, "chance": 0.1}) if text else None,
        samples=640,
        seconds=10.0 + seed,
        parameters=1_500_000,
        settings={"split": "test"},
    )


def compared(**methods: dict[int, MeasuredRun]) -> ComparisonResult:
    return compare_methods(methods, reference="clip", baseline="unimodal", resamples=200)


def macro_columns(each: MeasuredRun) -> tuple[np.ndarray, ...]:
    return each.scored.truth[:, :2], each.scored.scores[:, :2], each.scored.known[:, :2]


def test_one_seed_is_the_plain_bootstrap_over_patients() -> None:
    ours, theirs = run(1.5, 0), run(0.5, 1)
    found = compared(clip={0: theirs}, devide={0: ours}).methods["devide"]
    patients, draws = ours.scored.patient_ids, {"n": 200, "seed": 0}
    assert found.macro == bootstrap_by_patient(macro_auroc, patients, *macro_columns(ours), **draws)
    expected = paired_difference(macro_auroc, patients, macro_columns(ours), macro_columns(theirs), **draws)
    assert found.above_reference is not None
    assert [found.above_reference.low, found.above_reference.high] == pytest.approx([expected.low, expected.high])
    assert found.above_reference.value == pytest.approx(expected.value)
    assert np.isnan(found.spread)
    assert set(found.findings) == {"edema", "pneumothorax"}


def test_seeds_are_averaged_and_widen_the_interval() -> None:
    alone = compared(clip={0: run(0.5, 1)}, devide={0: run(1.0, 0)}).methods["devide"]
    skills = {0: 0.2, 1: 1.0, 2: 2.5}
    several = {seed: run(skill, seed) for seed, skill in skills.items()}
    found = compared(clip={0: run(0.5, 1)}, devide=several).methods["devide"]
    values = [float(macro_auroc(*macro_columns(each))) for each in several.values()]
    assert found.macro.value == pytest.approx(np.mean(values))
    assert found.seeds == pytest.approx(dict(enumerate(values)))
    assert found.spread == pytest.approx(np.std(values, ddof=1))
    assert found.macro.high - found.macro.low > 1.5 * (alone.macro.high - alone.macro.low)


def test_differences_take_the_seeds_that_both_have() -> None:
    clip = {0: run(0.5, 10), 2: run(0.7, 12)}
    devide = {0: run(1.0, 0), 1: run(9.0, 1), 2: run(1.2, 2)}
    result = compared(clip=clip, devide=devide, other={5: run(1.0, 5)})
    value = np.mean(
        [float(macro_auroc(*macro_columns(devide[s])) - macro_auroc(*macro_columns(clip[s]))) for s in (0, 2)]
    )
    assert result.methods["devide"].above_reference is not None
    assert result.methods["devide"].above_reference.value == pytest.approx(value)
    assert result.methods["clip"].above_reference is None
    assert result.methods["other"].above_reference is None


def test_the_same_scores_differ_by_exactly_nothing() -> None:
    runs = {seed: run(1.0, seed) for seed in range(3)}
    difference = compared(clip=runs, devide=dict(runs)).methods["devide"].above_reference
    assert difference is not None
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)


def test_reading_and_cost_are_over_all_seeds() -> None:
    runs = {seed: run(1.0, seed) for seed in range(2)}
    found = compared(clip=runs, unimodal={0: run(1.0, 7, text=False)}).methods
    mean = np.mean([each.retrieval["finding_precision@5"].mean() for each in runs.values()])
    assert found["clip"].precision is not None
    assert found["clip"].precision.value == pytest.approx(mean)
    assert found["clip"].precision.low < mean < found["clip"].precision.high
    assert found["clip"].pointing is not None
    assert found["clip"].pointing.value == pytest.approx(
        np.mean([each.grounding["pointing"].mean() for each in runs.values()])
    )
    assert found["clip"].samples_per_second == pytest.approx(1280 / 21)
    assert found["unimodal"].precision is None
    assert found["unimodal"].pointing is None


def test_other_patients_or_labels_are_refused() -> None:
    with pytest.raises(TaskError, match="different labels"):
        compared(clip={0: run(1.0, 0)}, devide={0: run(1.0, 1, truth_seed=3)})


def test_what_failed_stays_in_the_table_with_its_reason() -> None:
    result = compare_methods(
        {"clip": {0: run(1.0, 0)}, "medslip": {}},
        reference="clip",
        baseline="unimodal",
        failed={"medslip": {0: "no places", 1: "no places", 2: "no loss"}, "clip": {1: "diverged"}},
        resamples=20,
    )
    head, rows = result.summary()
    assert [row[:2] for row in rows][1] == ["medslip", "missing"]
    assert {len(row) for row in rows} == {len(head)}
    assert result.remarks() == ["medslip, seeds 0, 1: no places", "medslip, seed 2: no loss", "clip, seed 1: diverged"]
    table = result.tables()["compare.csv"]
    assert table["failed"].tolist() == ["seed 1: diverged", "seed 0: no places; seed 1: no places; seed 2: no loss"]
    assert table["seeds"].tolist() == [1, 0]
    assert result.to_json()["methods"]["clip"]["spread"] is None


def test_nothing_is_held_against_a_method_without_figures() -> None:
    whole = compared(clip={0: run(1.0, 0)}, unimodal={0: run(1.0, 1)})
    assert list(whole.differences()) == ["above clip", "above unimodal"]
    assert [h for h in compared(devide={0: run(1.0, 0)}).summary()[0] if h.startswith("above")] == []
    same = compare_methods({"clip": {0: run(1.0, 0)}}, reference="clip", baseline="clip", resamples=20)
    assert list(same.differences()) == ["above clip"]


def test_a_single_run_and_rare_findings_are_remarked() -> None:
    usual = compared(clip={0: run(1.0, 0), 1: run(1.0, 1)}, devide={0: run(1.0, 2), 1: run(1.0, 3)})
    assert (usual.remarks(), usual.over_seeds) == ([], True)
    assert compared(clip={0: run(1.0, 0)}, devide={0: run(1.0, 2)}).doubts() == []  # no one has more
    lone = compared(clip={0: run(1.0, 0), 1: run(1.0, 1)}, devide={0: run(1.0, 2)})
    assert lone.doubts() == ["One run alone, so the intervals hold patients and no seeds: devide."]
    rare = run(1.0, 0)
    rare.scored.states[:, 1] = 0
    rare.scored.states[0, 1] = 1  # one image of one patient of 40: missing in e^-1 of the resamples
    (words,) = compared(clip={0: rare}).doubts()
    assert re.match(r"\d\d of 200 resamples left a finding without", words)


def test_samples_stand_in_the_table_where_they_differ() -> None:
    fast = replace(run(1.0, 1), samples=1280)
    assert "samples" not in compared(clip={0: run(1.0, 0)}, devide={0: run(1.0, 1)}).summary()[0]
    head, rows = compared(clip={0: run(0.1, 0)}, devide={0: fast}).summary()
    at = head.index("samples")
    assert {row[0]: row[at] for row in rows} == {"clip": 640, "devide": 1280}
    assert {len(row) for row in rows} == {len(head)}


def test_no_interval_leaves_the_range_of_its_metric() -> None:
    runs = {seed: run(skill, seed) for seed, skill in enumerate((0.5, 1.5, 4.0))}
    found = compared(clip=runs).methods["clip"]
    assert found.macro.high == 1
    assert all(0 <= e.low <= e.high <= 1 for e in (*found.findings.values(), found.precision, found.pointing) if e)


def test_a_run_is_read_back_as_it_was(tmp_path: Path) -> None:
    before = run(1.0, 0)
    assert MeasuredRun.load(tmp_path) is None
    before.save(tmp_path)
    after = MeasuredRun.load(tmp_path)
    assert after is not None
    np.testing.assert_array_equal(after.scored.scores, before.scored.scores)
    assert (after.samples, after.seconds, after.parameters, after.settings) == (640, 10.0, 1_500_000, before.settings)
    assert compared(clip={0: after}).to_json() == compared(clip={0: before}).to_json()
    assert set(pd.read_csv(tmp_path / "scores.csv")["notice"]) == {"made up"}


def test_a_finding_that_is_left_out_moves_no_other() -> None:
    plain = run(1.0, 0)
    scored = plain.scored
    turned = {"names": NAMES[::-1], "scores": scored.scores[:, ::-1], "states": scored.states[:, ::-1]}
    mass_first = replace(plain, scored=LabelScores(**vars(scored) | turned))
    found, expected = (compared(clip={0: each}).methods["clip"] for each in (mass_first, plain))
    assert found.findings == expected.findings
    assert found.macro.value == pytest.approx(expected.macro.value)


def test_the_seed_of_the_bootstrap_is_that_of_all_figures() -> None:
    each = run(1.0, 0)
    found = compare_methods({"clip": {0: each}}, reference="clip", baseline="", resamples=50, seed=7).methods["clip"]
    assert each.retrieval is not None
    values, patients = each.retrieval["finding_precision@5"], each.scored.patient_ids
    assert found.precision == bootstrap_by_patient(image_mean, patients, values, n=50, seed=7)
    assert found.macro == bootstrap_by_patient(macro_auroc, patients, *macro_columns(each), n=50, seed=7)
