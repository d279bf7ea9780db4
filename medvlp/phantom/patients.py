"""`Patient`: one person with the course of their findings over several studies, drawn from the seed alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
from numpy.random import Generator

from medvlp.phantom.anatomy import Anatomy, sample_anatomy
from medvlp.phantom.findings import DRAWINGS, FINDINGS, Lesion
from medvlp.phantom.geometry import View

HEALTHY = 0.24  # share of people without findings; with those whom nothing befell, about 30 % of studies are clean
_PRIME = 9_999_991


@dataclass(frozen=True)
class Illness:
    """How ill the ill are: the range of severity of lesions, and a factor on the rate of each finding."""

    severity: tuple[float, float] = (0.0, 1.0)
    prevalence: float = 1.0

    def within(self, lesion: Lesion) -> Lesion:
        """A lesion that arose on the whole scale, brought into the range; a device has no degrees and stays."""
        if not lesion.graded:
            return lesion
        low, high = self.severity
        return lesion.at(low + (high - low) * lesion.level)


AS_IS = Illness()


@dataclass(frozen=True)
class Study:
    """One visit.

    Attributes:
        number: its `study_id`.
        day: shifted date, as de-identified archives have it.
        second: time of day in seconds.
        views: one AP picture at the bedside, or PA with or without a lateral view.
        lesions: what is there.
        course: per finding that was there before or is there now: `new | unchanged | improved | worsened | resolved`.
        gone: lesions of the study before that have resolved.
    """

    number: int
    day: date
    second: int
    views: tuple[View, ...]
    lesions: tuple[Lesion, ...]
    course: dict[str, str]
    gone: tuple[Lesion, ...] = ()

    @property
    def present(self) -> set[str]:
        """Ids of the findings that are there."""
        return {lesion.finding for lesion in self.lesions}


@dataclass(frozen=True)
class Patient:
    """One person: `number` is the `subject_id`, `index` counts from 0."""

    index: int
    number: int
    split: str
    anatomy: Anatomy
    studies: tuple[Study, ...]


def make_patient(
    seed: int,
    index: int,
    studies_per_patient: tuple[int, int],
    split: tuple[float, float, float],
    illness: Illness = AS_IS,
) -> Patient:
    """Patient `index` of the world of `seed`; the same however many others are asked for."""
    rng = np.random.default_rng([seed, index, 1])
    anatomy = sample_anatomy(rng)
    ill = None if rng.random() < HEALTHY else illness
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


def _split(seed: int, index: int, shares: tuple[float, float, float]) -> str:
    """Golden-ratio sequence: every run of patients comes close to the shares, whatever its length."""
    at = (index * 0.6180339887498949 + 0.37 * seed) % 1.0
    return "train" if at < shares[0] else "validate" if at < shares[0] + shares[1] else "test"


def _study(
    rng: Generator, anatomy: Anatomy, before: Study | None, illness: Illness | None, day: date, number: int
) -> Study:
    """The next visit of someone who is ill, or healthy where `illness` is None."""
    portable = rng.random() < (0.5 if illness else 0.2)
    lesions = [] if before is None or illness is None else _continued(rng, before.lesions, illness)
    if not portable:
        lesions = [lesion for lesion in lesions if not DRAWINGS[lesion.finding].portable]
    if illness:
        _befall(rng, anatomy, lesions, portable, illness, 1.0 if before is None else 0.3)
    lesions.sort(key=lambda lesion: FINDINGS.index(lesion.finding))
    views: tuple[View, ...] = ("AP",) if portable else ("PA", "LATERAL") if rng.random() < 0.62 else ("PA",)
    course, gone = _course(before, lesions)
    return Study(number, day, int(rng.integers(0, 86400)), views, tuple(lesions), course, gone)


def _continued(rng: Generator, lesions: tuple[Lesion, ...], illness: Illness) -> list[Lesion]:
    kept = []
    for lesion in lesions:
        drawing = DRAWINGS[lesion.finding]
        if rng.random() < drawing.lasting:
            step = rng.normal(0, 0.2) if drawing.lasting < 0.8 else abs(rng.normal(0, 0.05))
            level = lesion.level + (step if rng.random() < 0.6 else 0.0)
            kept.append(lesion.at(float(np.clip(level, *illness.severity))) if lesion.graded else lesion)
    return kept


def _befall(
    rng: Generator, anatomy: Anatomy, lesions: list[Lesion], portable: bool, illness: Illness, share: float
) -> None:
    """Add new findings in place; those that go together raise each other's rate."""
    order = ["cardiomegaly", "edema", *(f for f in FINDINGS if f not in ("cardiomegaly", "edema"))]
    for finding in order:
        drawing = DRAWINGS[finding]
        have = {lesion.finding for lesion in lesions}
        rate = drawing.rate * illness.prevalence * share
        if finding == "edema" and "cardiomegaly" in have:
            rate *= 2.0
        if finding == "pleural_effusion" and have & {"cardiomegaly", "edema"}:
            rate *= 1.5
        if finding in have or (drawing.portable and not portable) or rng.random() >= rate:
            continue
        for _ in range(4):
            new = [illness.within(lesion) for lesion in drawing.arise(rng, anatomy)]
            if all(_compatible(n, lesion) for n in new for lesion in lesions):
                lesions.extend(new)
                break


def _compatible(new: Lesion, other: Lesion) -> bool:
    """Whether two findings can be seen apart in one picture."""
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
        return abs(new.spot[1] - other.spot[1]) > 0.3
    return True


def _course(before: Study | None, lesions: list[Lesion]) -> tuple[dict[str, str], tuple[Lesion, ...]]:
    if before is None:
        return {}, ()
    course: dict[str, str] = {}
    now = {lesion.finding for lesion in lesions}
    gone = tuple(lesion for lesion in before.lesions if lesion.finding not in now)
    for finding in now:
        old = max((x.level for x in before.lesions if x.finding == finding), default=None)
        if old is None:
            course[finding] = "new"
            continue
        step = max(x.level for x in lesions if x.finding == finding) - old
        course[finding] = "worsened" if step > 0.1 else "improved" if step < -0.1 else "unchanged"
    course.update({lesion.finding: "resolved" for lesion in gone})
    return course, gone


def with_lesions(study: Study, lesions: tuple[Lesion, ...]) -> Study:
    """The same visit with other findings, for comparisons of present against absent."""
    return replace(study, lesions=lesions)
