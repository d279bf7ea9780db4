"""`write_report`: a study as a report in the style of MIMIC-CXR, with the ground truth of each sentence."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from medvlp.phantom.patients import Patient, Study
from medvlp.phantom.reported_findings import (
    ReportedFinding,
    choose,
    expand,
    phrases,
    sample_reported_findings,
    template_slots,
)

WIDTH = 78
_ORDER = {
    "endotracheal_tube": 0,
    "central_venous_catheter": 0,
    "pacemaker": 0,
    "consolidation": 1,
    "edema": 1,
    "emphysema": 1,
    "atelectasis": 1,
    "nodule": 1,
    "mass": 1,
    "pleural_effusion": 2,
    "pneumothorax": 2,
    "pleural_thickening": 2,
    "cardiomegaly": 3,
    "hiatal_hernia": 4,
    "rib_fracture": 4,
}


_ACUTE = {
    "pleural_effusion",
    "pneumothorax",
    "consolidation",
    "edema",
    "mass",
    "nodule",
    "rib_fracture",
    "atelectasis",
}


@dataclass(frozen=True)
class _Sentence:
    """One sentence and the findings that it reports."""

    text: str
    findings: tuple[ReportedFinding, ...] = ()


@dataclass
class GeneratedReport:
    """A report: text, reported findings, and `start, end, findings` of each sentence (offsets into the text)."""

    text: str = ""
    findings: list[ReportedFinding] = field(default_factory=list)
    sentences: list[tuple[int, int, tuple[ReportedFinding, ...]]] = field(default_factory=list)


def write_report(seed: int, patient: Patient, study: Study) -> GeneratedReport:
    """Write the report of a study, at random from the seed, the patient and the study."""
    rng = np.random.default_rng([seed, patient.index, study.number, 4])
    findings = sample_reported_findings(rng, study)
    lines = list(_findings(rng, findings))
    if patient.anatomy.sternal_wires and rng.random() < 0.6:
        lines.insert(0, _Sentence(expand(rng, choose(rng, phrases("report")["sternal_wires"]))))
    report = GeneratedReport(findings=findings)
    report.text = " " * 33 + "FINAL REPORT\n"
    common, view = phrases("report"), study.views[-1]
    prior = study is not patient.studies[0]
    _heading(report, "EXAMINATION", expand(rng, choose(rng, common["examination"][view])))
    if rng.random() < 0.92:
        _heading(report, "INDICATION", _indication(rng, patient, view))
    if rng.random() < 0.75:
        _heading(report, "TECHNIQUE", choose(rng, common["technique"][view]))
    if rng.random() < 0.9:
        _heading(report, "COMPARISON", choose(rng, common["comparison"]["prior" if prior else "none"]))
    impression = list(_impression(rng, findings, prior))
    style = rng.random()
    if style < 0.93:
        _paragraph(report, "FINDINGS", lines)
    if style > 0.06:
        _paragraph(report, "IMPRESSION", lines if style >= 0.93 else impression)
    return report


def _indication(rng: Generator, patient: Patient, view: str) -> str:
    common = phrases("report")
    setting = "AP" if view == "AP" else "PA"
    text = expand(rng, choose(rng, common["indications"][setting]) + choose(rng, common["questions"]))
    wrong = {"man": "woman", "M": "F"} if patient.anatomy.sex == "F" else {"woman": "man", "F": "M"}
    words = text.split(" ")
    return " ".join(wrong.get(w, f"___{wrong.get(w[3:], w[3:])}" if w.startswith("___") else w) for w in words)


def _findings(rng: Generator, findings: list[ReportedFinding]) -> Iterator[_Sentence]:
    """The sentences of FINDINGS, grouped from devices over lungs and pleura to heart and bones."""
    groups: list[list[_Sentence]] = [[] for _ in range(5)]
    denied = [s for s in findings if s.assertion == "absent" and s.progression is None]
    stated = [s for s in findings if s not in denied]
    rng.shuffle(denied)  # type: ignore[arg-type]
    while denied:
        count = min(len(denied), int(rng.choice([1, 2, 3], p=[0.3, 0.4, 0.3])))
        part, denied = denied[:count], denied[count:]
        groups[_ORDER[part[0].finding]].append(_denial(rng, part))
    for pair in _pairs(rng, stated):
        groups[_ORDER[pair[0].finding]].append(_joined(rng, pair))
        stated = [s for s in stated if s not in pair]
    for reported in stated:
        groups[_ORDER[reported.finding]].append(_describe(rng, reported))
    common = phrases("report")
    if not any(s.assertion != "absent" and _ORDER[s.finding] in (1, 2) for s in findings) and rng.random() < 0.5:
        groups[1].append(_Sentence(choose(rng, common["clear"])))
    topics = list(common["distractors"])
    for topic in rng.choice(len(topics), int(rng.integers(0, 4)), replace=False):
        groups[4].append(_Sentence(expand(rng, choose(rng, common["distractors"][topics[topic]]))))
    for index in [0, 1, 2, 3, 4] if rng.random() < 0.6 else [0, 3, 1, 2, 4]:
        rng.shuffle(groups[index])  # type: ignore[arg-type]
        yield from groups[index]


def _pairs(rng: Generator, stated: list[ReportedFinding]) -> Iterator[tuple[ReportedFinding, ReportedFinding]]:
    """Pairs of present findings that share a sentence; each reported at most once."""
    plain = {s.finding: s for s in stated if s.assertion == "present" and s.progression in (None, "new")}
    for first, second in phrases("report")["together"]:
        if first in plain and second in plain and rng.random() < 0.35:
            yield plain.pop(first), plain.pop(second)


def _joined(rng: Generator, pair: tuple[ReportedFinding, ReportedFinding]) -> _Sentence:
    parts = [
        expand(rng, phrases(s.finding)["brief"][0].split("[")[0], template_slots(rng, s)).rstrip(".") for s in pair
    ]
    second = parts[1] if parts[1][:2].isupper() else parts[1][0].lower() + parts[1][1:]
    return _Sentence(choose(rng, phrases("report")["joined"]).format(parts[0], second), pair)


def _denial(rng: Generator, part: list[ReportedFinding]) -> _Sentence:
    if len(part) == 1:
        return _Sentence(expand(rng, choose(rng, phrases(part[0].finding)["absent"])), tuple(part))
    nouns = [choose(rng, phrases(s.finding)["noun"]) for s in part]
    comma = "," if len(nouns) > 2 and rng.random() < 0.5 else ""
    text = f"{', '.join(nouns[:-1])}{comma} or {nouns[-1]}"
    return _Sentence(choose(rng, phrases("report")["denials"]).format(text), tuple(part))


def _describe(rng: Generator, reported: ReportedFinding) -> _Sentence:
    words = template_slots(rng, reported)
    key: str = reported.assertion
    if reported.progression == "resolved":
        key = "gone"
    elif key == "present" and words["change"]:
        key = "followed"
    return _Sentence(expand(rng, choose(rng, phrases(reported.finding)[key]), words), (reported,))


def _impression(rng: Generator, findings: list[ReportedFinding], prior: bool) -> Iterator[_Sentence]:
    """The sentences of IMPRESSION: the main findings in few words, or that nothing is acute."""
    common = phrases("report")
    stated = [s for s in findings if s.assertion != "absent"]
    rng.shuffle(stated)  # type: ignore[arg-type]
    stated = stated[: int(rng.integers(1, 5))]
    if not any(s.finding in _ACUTE for s in stated):
        key = "stable_impression" if prior or stated else "normal_impression"
        yield _Sentence(expand(rng, choose(rng, common[key])))
    for reported in stated:
        key = "brief" if reported.assertion == "present" else "uncertain"
        yield _Sentence(
            expand(rng, choose(rng, phrases(reported.finding)[key]), template_slots(rng, reported)), (reported,)
        )
    if stated and rng.random() < 0.15:
        yield _Sentence(expand(rng, choose(rng, common["closing"])))


def _heading(report: GeneratedReport, name: str, text: str) -> None:
    report.text += textwrap.fill(f"{name}:  {text}", WIDTH, initial_indent=" ", subsequent_indent=" ") + "\n \n"


def _paragraph(report: GeneratedReport, name: str, lines: list[_Sentence]) -> None:
    """Add a section, its sentences wrapped over lines, and record their offsets."""
    numbered = name == "IMPRESSION" and len(lines) > 1
    report.text += f" {name}: \n \n "
    column = 1
    for index, line in enumerate(lines):
        words = line.text.split(" ")
        start = None
        if numbered:
            words = [f"{index + 1}.", *words]
        for at, word in enumerate(words):
            if column + len(word) > WIDTH:
                report.text = report.text.rstrip(" ") + "\n "
                column = 1
            if start is None and at == (1 if numbered else 0):
                start = len(report.text)
            report.text += word + " "
            column += len(word) + 1
        end = len(report.text) - 1
        assert start is not None
        report.sentences.append((start, end, line.findings))
        if numbered and index + 1 < len(lines):
            report.text = report.text.rstrip(" ") + "\n "
            column = 1
        elif not numbered:
            report.text += " "
            column += 1
    report.text = report.text.rstrip(" ") + "\n \n"
