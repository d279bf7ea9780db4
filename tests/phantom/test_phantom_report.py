"""Reports: their form, and that they say what their truth says."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from medvlp.knowledge import PLACES
from medvlp.phantom.findings import FINDINGS
from medvlp.phantom.generate import PhantomConfig
from medvlp.phantom.layout import CHEXPERT, chexpert_row, report_states, sentence_rows, study_row
from medvlp.phantom.report import WIDTH, GeneratedReport, write_report
from medvlp.phantom.reported_findings import expand, phrases

WORDS = {
    "pleural_effusion": "effusion|pleural fluid",
    "pneumothorax": "pneumothorax",
    "cardiomegaly": "cardiomegaly|heart|cardiac silhouette",
    "consolidation": "consolidation",
    "edema": "edema",
    "emphysema": "emphysema",
    "atelectasis": "atelectasis",
    "nodule": "nodule",
    "mass": "mass",
    "pleural_thickening": "thickening",
    "rib_fracture": "fracture",
    "hiatal_hernia": "hernia",
    "endotracheal_tube": "tube",
    "central_venous_catheter": "catheter|line|picc",
    "pacemaker": "pacemaker|pacer",
}
DENIED = re.compile(
    r"\bno\b|not |without|resol|cleared|removed|removal|normal in size|size is normal|within normal|now normal",
    re.IGNORECASE,
)
HEDGED = re.compile(
    r"may |possib|probabl|questionabl|cannot be excluded|difficult to exclude|suggests|likely", re.IGNORECASE
)


@pytest.fixture(scope="module")
def written() -> list[tuple]:
    config = PhantomConfig(seed=2)
    people = [config.patient(k) for k in range(160)]
    return [(p, s, write_report(2, p, s)) for p in people for s in p.studies]


def test_form(written: list[tuple]) -> None:
    headings = Counter()
    for _, _, report in written:
        lines = report.text.split("\n")
        assert lines[0].strip() == "FINAL REPORT"
        assert all(line.startswith(" ") for line in lines[:-1])
        assert max(map(len, lines)) <= WIDTH + 2
        headings.update(re.findall(r"^ ([A-Z]+): ", report.text, re.MULTILINE))
        assert not re.search(r"[{}\[\]|]", report.text)
        assert not re.search(r" [,.]|\ba [aeiou]|\.\.", report.text.replace("\n ", " ")), report.text
    assert set(headings) == {"EXAMINATION", "INDICATION", "TECHNIQUE", "COMPARISON", "FINDINGS", "IMPRESSION"}
    assert headings["TECHNIQUE"] < 0.95 * len(written)  # some reports lack a section
    assert 0.8 * len(written) < headings["FINDINGS"] < len(written)


def test_sentences_say_what_the_truth_says(written: list[tuple]) -> None:
    checked = Counter()
    for _, study, report in written:
        for row in sentence_rows(study, report):
            assert report.text[row["start"] : row["end"]] == row["text"]
            if row["finding"] is None:
                continue
            text = " ".join(row["text"].split())
            checked[row["finding"], row["assertion"]] += 1
            assert re.search(WORDS[row["finding"]], text, re.IGNORECASE), text
            if row["assertion"] == "absent":
                assert DENIED.search(text), text
            elif row["assertion"] == "uncertain":
                assert HEDGED.search(text), text
            else:
                assert not re.search(r"\bno (evidence|" + WORDS[row["finding"]] + ")", text, re.IGNORECASE), text
            if row["side"] in ("left", "right"):
                other = {"left": "right", "right": "left"}[row["side"]]
                words = text.lower().split()
                assert row["side"] in words or other not in words, text
            assert row["place"] is None or row["place"] in PLACES
    assert all(checked[f, "present"] > 5 for f in FINDINGS)


def test_present_findings_are_told_and_most_absent_ones_are_not(written: list[tuple]) -> None:
    stated, silent = [], []
    for _, study, report in written:
        states = report_states(report.findings)
        for finding in FINDINGS:
            if finding in study.findings:
                stated.append(states.get(finding) in ("present", "uncertain"))
            else:
                silent.append(finding not in states)
                assert states.get(finding) != "present"
    assert 0.93 < np.mean(stated) < 1.0
    assert 0.6 < np.mean(silent) < 0.95


def test_every_statement_is_written(written: list[tuple]) -> None:
    for _, _, report in written:
        assert {s.finding for s in report.findings} == {s.finding for _, _, part in report.sentences for s in part}


def test_priors_are_referred_to(written: list[tuple]) -> None:
    follow = [r.text for p, s, r in written if s is not p.studies[0]]
    assert (
        sum(bool(re.search(r"unchanged|stable|increased|decreased|resol|removed|prior", t)) for t in follow)
        > len(follow) / 2
    )
    first = [r.text for p, s, r in written if s is p.studies[0]]
    assert not any("COMPARISON:  Chest" in t for t in first)


def test_tables_follow_the_report(written: list[tuple]) -> None:
    for patient, study, report in written:
        states = report_states(report.findings)
        row = study_row(patient, study, report.findings)
        assert {f: row[f] for f in FINDINGS} == {
            f: {"present": "1", "absent": "0", "uncertain": "u"}.get(states.get(f, ""), "") for f in FINDINGS
        }
        chexpert = chexpert_row(patient, study, report)
        assert set(chexpert) == {"subject_id", "study_id", *CHEXPERT}
        expected = {"present": 1.0, "absent": 0.0, "uncertain": -1.0, None: ""}
        assert chexpert["Pleural Effusion"] == expected[states.get("pleural_effusion")]
        assert chexpert["Fracture"] == expected[states.get("rib_fracture")]
        positive = [label for label in CHEXPERT if chexpert[label] in (1.0, -1.0)]
        assert (chexpert["No Finding"] == 1.0) == (set(positive) <= {"No Finding", "Support Devices"})


def test_reports_vary(written: list[tuple]) -> None:
    openings = Counter(
        " ".join(r.text[a:b].split())
        for _, _, r in written
        for a, b, part in r.sentences
        if any(s.finding == "edema" for s in part)
    )
    assert len(openings) > 40


def test_expand_fills_chooses_and_cleans() -> None:
    rng = np.random.default_rng(0)
    assert expand(rng, "{a}{sev} [x|x] lung .", {"a": "a ", "sev": ""}) == "A x lung."
    assert expand(rng, "there is a {n}.", {"n": "8 mm nodule"}) == "There is an 8 mm nodule."
    assert {expand(rng, "[a [b|c]|d]") for _ in range(40)} == {"A b", "A c", "D"}
    with pytest.raises(KeyError):
        expand(rng, "{unknown}", {})


def test_every_finding_has_its_phrases() -> None:
    for finding in FINDINGS:
        book = phrases(finding)
        assert {"noun", "deny", "present", "uncertain", "absent", "followed", "gone", "brief", "chexpert"} <= set(book)
        assert book["chexpert"] is None or book["chexpert"] in CHEXPERT


def test_sternal_wires_are_no_finding() -> None:
    assert GeneratedReport().findings == []
    assert all("wires" in line or "sternotomy" in line for line in phrases("report")["sternal_wires"])
