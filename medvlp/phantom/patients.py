"""`Patient`: one person whose findings develop over several studies, sampled from the seed alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
from numpy.random import Generator

from medvlp.phantom.anatomy import Anatomy, sample_anatomy
from medvlp.phantom.findings import FINDING_MODELS, FINDINGS, Lesion
from medvlp.phantom.geometry import View

HEALTHY_FRACTION = 0.24  # of patients; with the ill who have no finding yet, about 30 % of studies are normal
_PRIME = 9_999_991


@dataclass(frozen=True)
class DiseaseModel:
    """Disease in the ill: the range of severity of lesions, and a factor on the rate of each finding.

    Examples:
        >>> model = DiseaseModel(severity=(0.5, 1.0))
        >>> model.rescale(Lesion("nodule", "left", "left_upper_lung", level=0.2, seed=1)).level
        0.6
    """

    severity: tuple[float, float] = (0.0, 1.0)
    prevalence: float = 1.0

    def rescale(self, lesion: Lesion) -> Lesion:
        """A lesion with its level rescaled from 0 to 1 to the range of severity; a device is unchanged."""
        if not lesion.graded:
            return lesion
        low, high = self.severity
        return lesion.with_level(low + (high - low) * lesion.level)


DEFAULT_DISEASE = DiseaseModel()


@dataclass(frozen=True)
class Study:
    """One imaging study.

    Attributes:
        number: its `study_id`.
        day: shifted date, as de-identified archives have it.
        second: time of day in seconds.
        views: one AP image at the bedside, or PA with or without a lateral view.
        lesions: all that are present.
        progression: of each finding that is or was present: `new | unchanged | improved | worsened | resolved`.
        resolved: lesions of the previous study that have resolved.
    """

    number: int
    day: date
    second: int
    views: tuple[View, ...]
    lesions: tuple[Lesion, ...]
    progression: dict[str, str]
    resolved: tuple[Lesion, ...] = ()

    @property
    def findings(self) -> set[str]:
        """Ids of the findings that are present."""
        return {lesion.finding for lesion in self.lesions}


@dataclass(frozen=True)
class Patient:
    """One person: `number` is the `subject_id`, `index` counts from 0."""

    index: int
    number: int
    split: str
    anatomy: Anatomy
    studies: tuple[Study, ...]


def sample_patient(
    seed: int,
    index: int,
    studies_per_patient: tuple[int, int],
    split: tuple[float, float, float],
    disease: DiseaseModel = DEFAULT_DISEASE,
) -> Patient:
    """Patient `index` of a seed; it does not depend on how many others are sampled.

    Args:
        studies_per_patient: fewest and most.
        split: fractions of train, validate and test.
    """
    rng = np.random.default_rng([seed, index, 1])
    anatomy = sample_anatomy(rng)
    ill = None if rng.random() < HEALTHY_FRACTION else disease
    day = date(2110, 1, 1) + timedelta(days=int(rng.integers(0, 30000)))
    studies: list[Study] = []
    for number in range(int(rng.integers(studies_per_patient[0], studies_per_patient[1] + 1))):
        before = studies[-1] if studies else None
        studies.append(_study(rng, anatomy, before, ill, day, _unique(seed, index * 64 + number, 50_000_000)))
        day += timedelta(days=int(rng.choice([1, 3, 30, 200])) + int(rng.integers(0, 20)))
    return Patient(index, _unique(seed, index, 10_000_000), _split(seed, index, split), anatomy, tuple(studies))


def _unique(seed: int, index: int, base: int) -> int:
    """Numbers that look at random and never meet: multiplication modulo a prime is a permutation."""
    return base + ((index + 1) * 3_571_429 + seed * 7_919 + 32) % _PRIME


def _split(seed: int, index: int, fractions: tuple[float, float, float]) -> str:
    """Golden-ratio sequence: any number of consecutive patients comes close to the fractions."""
    at = (index * 0.6180339887498949 + 0.37 * seed) % 1.0
    return "train" if at < fractions[0] else "validate" if at < fractions[0] + fractions[1] else "test"


def _study(
    rng: Generator, anatomy: Anatomy, before: Study | None, disease: DiseaseModel | None, day: date, number: int
) -> Study:
    """The next study of an ill patient, or of a healthy one where `disease` is None."""
    portable = rng.random() < (0.5 if disease else 0.2)
    lesions = [] if before is None or disease is None else _persisting_lesions(rng, before.lesions, disease)
    if not portable:
        lesions = [lesion for lesion in lesions if not FINDING_MODELS[lesion.finding].portable_only]
    if disease:
        _add_new_lesions(rng, anatomy, lesions, portable, disease, 1.0 if before is None else 0.3)
    lesions.sort(key=lambda lesion: FINDINGS.index(lesion.finding))
    views: tuple[View, ...] = ("AP",) if portable else ("PA", "LATERAL") if rng.random() < 0.62 else ("PA",)
    progression, resolved = _progression(before, lesions)
    return Study(number, day, int(rng.integers(0, 86400)), views, tuple(lesions), progression, resolved)


def _persisting_lesions(rng: Generator, lesions: tuple[Lesion, ...], disease: DiseaseModel) -> list[Lesion]:
    kept = []
    for lesion in lesions:
        model = FINDING_MODELS[lesion.finding]
        if rng.random() < model.persistence:
            step = rng.normal(0, 0.2) if model.persistence < 0.8 else abs(rng.normal(0, 0.05))
            level = lesion.level + (step if rng.random() < 0.6 else 0.0)
            kept.append(lesion.with_level(float(np.clip(level, *disease.severity))) if lesion.graded else lesion)
    return kept


def _add_new_lesions(
    rng: Generator, anatomy: Anatomy, lesions: list[Lesion], portable: bool, disease: DiseaseModel, factor: float
) -> None:
    """Add new findings in place; associated findings raise each other's rate."""
    order = ["cardiomegaly", "edema", *(f for f in FINDINGS if f not in ("cardiomegaly", "edema"))]
    for finding in order:
        model = FINDING_MODELS[finding]
        have = {lesion.finding for lesion in lesions}
        rate = model.rate * disease.prevalence * factor
        if finding == "edema" and "cardiomegaly" in have:
            rate *= 2.0
        if finding == "pleural_effusion" and have & {"cardiomegaly", "edema"}:
            rate *= 1.5
        if finding in have or (model.portable_only and not portable) or rng.random() >= rate:
            continue
        for _ in range(4):
            new = [disease.rescale(lesion) for lesion in model.sample(rng, anatomy)]
            if all(_compatible(n, lesion) for n in new for lesion in lesions):
                lesions.extend(new)
                break


def _compatible(new: Lesion, other: Lesion) -> bool:
    """Whether two findings can be seen apart in one image."""
    pair = {new.finding, other.finding}
    if pair == {"edema", "emphysema"}:
        return False
    if new.side is None or other.side is None or new.side != other.side:
        return True
    within = {"consolidation", "atelectasis", "nodule", "mass", "pleural_thickening"}
    if pair == {"pleural_effusion", "pneumothorax"}:
        return False
    if pair & within and pair & {"pneumothorax", "pleural_effusion"}:
        wide = new if new.finding in ("pneumothorax", "pleural_effusion") else other
        return wide.level < 0.35
    if len(pair & within) == 2:
        return abs(new.position[1] - other.position[1]) > 0.3
    return True


def _progression(before: Study | None, lesions: list[Lesion]) -> tuple[dict[str, str], tuple[Lesion, ...]]:
    if before is None:
        return {}, ()
    progression: dict[str, str] = {}
    now = {lesion.finding for lesion in lesions}
    resolved = tuple(lesion for lesion in before.lesions if lesion.finding not in now)
    for finding in now:
        old = max((x.level for x in before.lesions if x.finding == finding), default=None)
        if old is None:
            progression[finding] = "new"
            continue
        step = max(x.level for x in lesions if x.finding == finding) - old
        progression[finding] = "worsened" if step > 0.1 else "improved" if step < -0.1 else "unchanged"
    progression.update({lesion.finding: "resolved" for lesion in resolved})
    return progression, resolved


def with_lesions(study: Study, lesions: tuple[Lesion, ...]) -> Study:
    """The same visit with other findings, for comparisons of present against absent."""
    return replace(study, lesions=lesions)
