"""The parser on the Open-i reports, and on the reports that the phantom writes."""

import csv
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from medvlp.knowledge import LabelSpace
from medvlp.knowledge.study_labels import counts_as, study_labels
from medvlp.phantom.generate import PhantomConfig
from medvlp.phantom.layout import sentence_rows
from medvlp.phantom.report import write_report
from medvlp.reports import FindingState, parse_report
from medvlp.reports.files import xml_report_text

REAL = Path(os.environ.get("MEDVLP_REAL_DATA", Path(__file__).parents[3] / "shared" / "data")) / "openi_reports"


@pytest.fixture(scope="module")
def open_i():
    """`CXR<n>` -> text of all Open-i reports."""
    archive = REAL / "NLMCXR_reports.tgz"
    if not archive.is_file():
        pytest.skip(f"no reports at {archive}; set MEDVLP_REAL_DATA")
    with tarfile.open(archive) as tar:
        files = (member for member in tar if member.name.endswith(".xml"))
        return {f"CXR{Path(m.name).stem}": xml_report_text(tar.extractfile(m).read()) for m in files}


@pytest.mark.real
def test_f1_on_a_sample_of_all_labelled_reports(open_i):
    """Every fifth report; `benchmarks/report_f1.py` has the figures, this one guards against a fall."""
    space = LabelSpace.load("nih14")
    with (REAL / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))[::5]
    gold = np.array([[row[label] == "1" for label in space.labels] for row in rows])
    states = [study_labels(parse_report(open_i[row["filename"]]), space.findings) for row in rows]
    read = np.array([[state[f] == FindingState.PRESENT for f in space.findings] for state in states])
    hits = (gold & read).sum()
    assert 2 * hits / (gold.sum() + read.sum()) > 0.91


@pytest.mark.real
def test_all_reports_are_read_with_offsets_at_their_words(open_i):
    mentions = 0
    for text in list(open_i.values())[::3]:
        report = parse_report(text)
        mentions += len(report.mentions)
        for m in report.mentions:
            assert report.sentences[m.sentence].section in ("findings", "impression")
            assert report.words(m).strip(" ,.;:") == report.words(m)
    assert mentions > 5_000


def test_index_terms_of_the_files_are_never_read():
    xml = b"<r><AbstractText Label='FINDINGS'>Clear.</AbstractText><MeSH><major>Pneumothorax</major></MeSH></r>"
    assert "neumothorax" not in xml_report_text(xml)


def _generated(patients):
    """`(report, its true sentences)` of generated patients, without their pictures."""
    world = PhantomConfig(seed=7)
    for index in range(patients):
        patient = world.patient(index)
        for study in patient.studies:
            written = write_report(world.seed, patient, study)
            yield parse_report(written.text), [row for row in sentence_rows(study, written) if row["finding"]]


def test_generated_sentences_are_read_as_they_were_meant():
    """Agreement in finding and assertion of at least 0.97, in side of at least 0.97, in place of at least 0.9."""
    agrees = {"assertion": [], "side": [], "place": []}
    for report, rows in _generated(200):
        for row in rows:
            part = [m for m in report.mentions if row["start"] <= m.start < row["end"]]
            own = [m for m in part if row["finding"] in (m.finding, *counts_as(m.finding))]
            read = {m.assertion for m in own} == {row["assertion"]}
            agrees["assertion"].append(read)
            for key in ("side", "place"):
                if read and row[key]:
                    agrees[key].append(any(getattr(m, key) == row[key] for m in own))
    assert len(agrees["assertion"]) > 1000
    assert np.mean(agrees["assertion"]) >= 0.97
    assert np.mean(agrees["side"]) >= 0.97
    assert np.mean(agrees["place"]) >= 0.9
