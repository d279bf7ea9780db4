"""Who is generated: the same people for the same seed, with findings as common and as linked as documented."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from medvlp.phantom.findings import FINDING_MODELS, FINDINGS
from medvlp.phantom.generate import PhantomConfig

CONFIG = PhantomConfig(seed=4)


@pytest.fixture(scope="module")
def people() -> list:
    return [CONFIG.patient(k) for k in range(500)]


def test_a_patient_depends_on_seed_and_index_alone(people: list) -> None:
    assert PhantomConfig(seed=4).patient(17) == people[17]
    assert PhantomConfig(seed=5).patient(17).anatomy != people[17].anatomy


def test_numbers_are_unique_and_in_the_official_ranges(people: list) -> None:
    subjects = [p.number for p in people]
    studies = [s.number for p in people for s in p.studies]
    assert len(set(subjects)) == len(subjects)
    assert len(set(studies)) == len(studies)
    assert all(10_000_000 <= n < 20_000_000 for n in subjects)
    assert all(50_000_000 <= n < 60_000_000 for n in studies)


def test_findings_are_common_enough_and_a_third_of_studies_is_clean(people: list) -> None:
    studies = [s for p in people for s in p.studies]
    count = Counter(f for s in studies for f in s.findings)
    for finding in FINDINGS:
        assert 0.05 <= count[finding] / len(studies) <= 0.26, finding
    assert 0.2 <= sum(not s.findings for s in studies) / len(studies) <= 0.38


def test_what_goes_together(people: list) -> None:
    studies = [s for p in people for s in p.studies]
    have = {f: np.array([f in s.findings for s in studies]) for f in FINDINGS}
    assert have["edema"][have["cardiomegaly"]].mean() > 1.3 * have["edema"].mean()
    assert not (have["edema"] & have["emphysema"]).any()
    for study in studies:
        if any(FINDING_MODELS[f].portable_only for f in study.findings):
            assert study.views == ("AP",)
        assert study.views in {("AP",), ("PA",), ("PA", "LATERAL")}


def test_split_is_by_patient_and_near_its_shares(people: list) -> None:
    share = Counter(p.split for p in people)
    assert [share[s] / 500 for s in ("train", "validate", "test")] == pytest.approx([0.7, 0.1, 0.2], abs=0.01)
    few = Counter(p.split for p in people[:10])
    assert set(few) == {"train", "validate", "test"}


def test_courses_tell_what_changed(people: list) -> None:
    seen = Counter()
    for person in people:
        assert not person.studies[0].progression
        for before, study in zip(person.studies, person.studies[1:], strict=False):
            assert before.day < study.day
            for finding, progression in study.progression.items():
                seen[progression] += 1
                assert (finding in study.findings) == (progression != "resolved")
                assert (finding in before.findings) == (progression != "new")
    assert set(seen) == {"new", "unchanged", "improved", "worsened", "resolved"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 10}, "between 64 and 4096"),
        ({"studies_per_patient": (3, 1)}, "fewest, most"),
        ({"split": (0.5, 0.2, 0.2)}, "sum to 1"),
        ({"severity": (0.5, 1.2)}, "least, greatest"),
        ({"prevalence": 0.0}, "above 0"),
    ],
)
def test_settings_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PhantomConfig(**options)


def test_severity_and_prevalence_say_how_ill_the_ill_are(people: list) -> None:
    config = PhantomConfig(seed=0, severity=(0.6, 0.8), prevalence=2.0)
    ill = [config.patient(i) for i in range(len(people))]
    levels = [x.level for p in ill for s in p.studies for x in s.lesions if x.graded]
    assert 0.6 <= min(levels) < 0.65
    assert 0.75 < max(levels) <= 0.8

    def each(persons: list) -> float:
        return float(np.mean([len(p.studies[0].findings) for p in persons]))

    assert 1.5 * each(people) < each(ill) < 2.5 * each(people)
    devices = {x.finding: x.level for p in ill for s in p.studies for x in s.lesions if not x.graded}
    assert set(devices.values()) == {0.5}
