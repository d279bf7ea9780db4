"""`write_report`: a visit as a report in the style of a large hospital's, with the truth of each sentence."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from medvlp.phantom.patients import Patient, Study
from medvlp.phantom.phrases import choose, expand, phrases
from medvlp.phantom.statements import Statement, plan, slots

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
class Line:
    """One sentence and the statements that it makes."""

    text: str
    statements: tuple[Statement, ...] = ()


@dataclass
class Written:
    """A report: its text, its statements, and for each sentence its offsets and statements."""

    text: str = ""
    statements: list[Statement] = field(default_factory=list)
    links: list[tuple[int, int, tuple[Statement, ...]]] = field(default_factory=list)


def write_report(seed: int, patient: Patient, study: Study) -> Written:
    """Write the report of a visit; everything at random comes from the seed, the patient and the visit."""
    rng = np.random.default_rng([seed, patient.index, study.number, 4])
    statements = plan(rng, study)
    lines = list(_findings(rng, statements))
    if patient.anatomy.sternal_wires and rng.random() < 0.6:
        lines.insert(0, Line(expand(rng, choose(rng, phrases("report")["sternal_wires"]))))
    report = Written(statements=statements)
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
    impression = list(_impression(rng, statements, prior))
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


def _findings(rng: Generator, statements: list[Statement]) -> Iterator[Line]:
    """The sentences of FINDINGS, grouped from devices over lungs and pleura to heart and bones."""
    groups: list[list[Line]] = [[] for _ in range(5)]
    denied = [s for s in statements if s.assertion == "absent" and s.course is None]
    told = [s for s in statements if s not in denied]
    rng.shuffle(denied)  # type: ignore[arg-type]
    while denied:
        count = min(len(denied), int(rng.choice([1, 2, 3], p=[0.3, 0.4, 0.3])))
        part, denied = denied[:count], denied[count:]
        groups[_ORDER[part[0].finding]].append(_denial(rng, part))
    for pair in _pairs(rng, told):
        groups[_ORDER[pair[0].finding]].append(_joined(rng, pair))
        told = [s for s in told if s not in pair]
    for statement in told:
        groups[_ORDER[statement.finding]].append(_say(rng, statement))
    common = phrases("report")
    if not any(s.assertion != "absent" and _ORDER[s.finding] in (1, 2) for s in statements) and rng.random() < 0.5:
        groups[1].append(Line(choose(rng, common["clear"])))
    topics = list(common["distractors"])
    for topic in rng.choice(len(topics), int(rng.integers(0, 4)), replace=False):
        groups[4].append(Line(expand(rng, choose(rng, common["distractors"][topics[topic]]))))
    for index in [0, 1, 2, 3, 4] if rng.random() < 0.6 else [0, 3, 1, 2, 4]:
        rng.shuffle(groups[index])  # type: ignore[arg-type]
        yield from groups[index]


def _pairs(rng: Generator, told: list[Statement]) -> Iterator[tuple[Statement, Statement]]:
    """Present findings that one sentence tells together; each at most once."""
    plain = {s.finding: s for s in told if s.assertion == "present" and s.course in (None, "new")}
    for first, second in phrases("report")["together"]:
        if first in plain and second in plain and rng.random() < 0.35:
            yield plain.pop(first), plain.pop(second)


def _joined(rng: Generator, pair: tuple[Statement, Statement]) -> Line:
    parts = [expand(rng, phrases(s.finding)["brief"][0].split("[")[0], slots(rng, s)).rstrip(".") for s in pair]
    second = parts[1] if parts[1][:2].isupper() else parts[1][0].lower() + parts[1][1:]
    return Line(choose(rng, phrases("report")["joined"]).format(parts[0], second), pair)


def _denial(rng: Generator, part: list[Statement]) -> Line:
    if len(part) == 1:
        return Line(expand(rng, choose(rng, phrases(part[0].finding)["absent"])), tuple(part))
    nouns = [choose(rng, phrases(s.finding)["noun"]) for s in part]
    comma = "," if len(nouns) > 2 and rng.random() < 0.5 else ""
    text = f"{', '.join(nouns[:-1])}{comma} or {nouns[-1]}"
    return Line(choose(rng, phrases("report")["denials"]).format(text), tuple(part))


def _say(rng: Generator, statement: Statement) -> Line:
    words = slots(rng, statement)
    key: str = statement.assertion
    if statement.course == "resolved":
        key = "gone"
    elif key == "present" and words["change"]:
        key = "followed"
    return Line(expand(rng, choose(rng, phrases(statement.finding)[key]), words), (statement,))


def _impression(rng: Generator, statements: list[Statement], prior: bool) -> Iterator[Line]:
    """The sentences of IMPRESSION: the chief findings again in few words, or that there is nothing acute."""
    common = phrases("report")
    told = [s for s in statements if s.assertion != "absent"]
    rng.shuffle(told)  # type: ignore[arg-type]
    told = told[: int(rng.integers(1, 5))]
    if not any(s.finding in _ACUTE for s in told):
        key = "stable_impression" if prior or told else "normal_impression"
        yield Line(expand(rng, choose(rng, common[key])))
    for statement in told:
        key = "brief" if statement.assertion == "present" else "uncertain"
        yield Line(expand(rng, choose(rng, phrases(statement.finding)[key]), slots(rng, statement)), (statement,))
    if told and rng.random() < 0.15:
        yield Line(expand(rng, choose(rng, common["closing"])))


def _heading(report: Written, name: str, text: str) -> None:
    report.text += textwrap.fill(f"{name}:  {text}", WIDTH, initial_indent=" ", subsequent_indent=" ") + "\n \n"


def _paragraph(report: Written, name: str, lines: list[Line]) -> None:
    """Add a section, its sentences wrapped over lines, and note where each of them stands."""
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
        report.links.append((start, end, line.statements))
        if numbered and index + 1 < len(lines):
            report.text = report.text.rstrip(" ") + "\n "
            column = 1
        elif not numbered:
            report.text += " "
            column += 1
    report.text = report.text.rstrip(" ") + "\n \n"
