"""RadGraph, CheXbert and PadChest tables, and report files, as reports."""

import json

import pytest

from medvlp.reports.chexbert import read_chexbert
from medvlp.reports.files import ReportFileError, find_report_files, read_report_file, xml_report_text
from medvlp.reports.padchest import padchest_report
from medvlp.reports.radgraph import radgraph_report, read_radgraph


def _entity(tokens, label, at, *relations):
    return {"tokens": tokens, "label": label, "start_ix": at, "end_ix": at, "relations": [list(r) for r in relations]}


RADGRAPH = {
    "text": "There is a small left pleural effusion . No pneumothorax . Nodule in right upper lobe may be present .",
    "entities": {
        "1": _entity("small", "OBS-DP", 3, ("modify", "4")),
        "2": _entity("left", "ANAT-DP", 4, ("modify", "3")),
        "3": _entity("pleural", "ANAT-DP", 5),
        "4": _entity("effusion", "OBS-DP", 6, ("located_at", "3")),
        "5": _entity("pneumothorax", "OBS-DA", 9),
        "6": _entity("Nodule", "OBS-U", 11, ("located_at", "9")),
        "7": _entity("right", "ANAT-DP", 13, ("modify", "9")),
        "8": _entity("upper", "ANAT-DP", 14, ("modify", "9")),
        "9": _entity("lobe", "ANAT-DP", 15),
    },
}


def test_radgraph_entities_become_mentions(tmp_path):
    path = tmp_path / "graphs.json"
    path.write_text(json.dumps({"p10/p1/s1.txt": RADGRAPH}))
    report = read_radgraph(path)["p10/p1/s1.txt"]
    found = [
        (report.words(m), m.finding, m.assertion, m.place, m.side, m.severity, m.sentence) for m in report.mentions
    ]
    assert found == [
        ("effusion", "pleural_effusion", "present", "left_pleural", "left", "small", 0),
        ("pneumothorax", "pneumothorax", "absent", "pleural_unspec", None, None, 1),
        ("Nodule", "nodule", "uncertain", "upper_right_lobe", "right", None, 2),
    ]


def test_radgraph_xl_labels_are_read_too():
    entry = {"text": "effusion", "entities": {"1": _entity("effusion", "Observation::definitely absent", 0)}}
    assert [m.assertion for m in radgraph_report(entry).mentions] == ["absent"]


def test_radgraph_without_text_is_refused():
    with pytest.raises(ValueError, match=r"s1.*text"):
        radgraph_report({"entities": {}}, "s1")


def test_chexbert_cells_become_mentions(tmp_path):
    path = tmp_path / "labeled_reports.csv"
    path.write_text("Report Impression,Edema,Pneumonia,Fracture,No Finding\nMild edema.,1.0,-1.0,,\nNormal.,0,,,1.0\n")
    (_, first), (name, second) = read_chexbert(path)
    assert [(m.finding, m.assertion) for m in first.mentions] == [("edema", "present"), ("pneumonia", "uncertain")]
    assert first.words(first.mentions[0]) == "Mild edema."
    assert (name, [(m.finding, m.assertion) for m in second.mentions]) == ("1", [("edema", "absent")])


def test_chexbert_refuses_other_tables_and_cells(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="none of the columns"):
        list(read_chexbert(path))
    path.write_text("study_id,Edema\n1,yes\n")
    with pytest.raises(ValueError, match="'yes'"):
        list(read_chexbert(path))


def test_padchest_labels_become_mentions_of_their_sentences():
    text = "derram pleural izquierd . sin cambi . cardiomegali ."
    report = padchest_report(text, "[['pleural effusion', 'loc left'], ['unchanged'], ['cardiomegaly']]")
    found = [(m.finding, m.place, m.side, report.words(m)) for m in report.mentions]
    assert found == [
        ("pleural_effusion", "left_pleural", "left", "derram pleural izquierd"),
        ("cardiomegaly", "heart_size", None, "cardiomegali"),
    ]


def test_padchest_places_are_read_with_their_labels():
    report = padchest_report("x", [["pulmonary fibrosis", "loc basal bilateral"], ["nodule", "loc right upper lobe"]])
    assert [(m.finding, m.place) for m in report.mentions] == [
        ("fibrosis", "lung_bases"),
        ("nodule", "upper_right_lobe"),
    ]


def test_padchest_refuses_what_is_no_list():
    with pytest.raises(ValueError, match="cannot be read"):
        padchest_report("x", "[['a'")
    with pytest.raises(ValueError, match="list of lists"):
        padchest_report("x", "['a']")


def test_xml_gives_headed_sections_only():
    xml = b"<r><AbstractText Label='FINDINGS'>No\n effusion.</AbstractText><MeSH><major>Mass</major></MeSH></r>"
    assert xml_report_text(xml) == "FINDINGS: No effusion."


@pytest.mark.parametrize("content", [b"", b"<r>", b"<r/>", b"\x00\x01"])
def test_bad_xml_is_refused_with_its_path(tmp_path, content):
    path = tmp_path / "bad.xml"
    path.write_bytes(content)
    with pytest.raises(ReportFileError, match=r"bad\.xml"):
        read_report_file(path)


def test_text_files_are_read_whatever_their_bytes(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"No effusion \xff.")
    assert read_report_file(path) == "No effusion \ufffd."


def test_report_files_of_a_folder_in_order(tmp_path):
    for name in ("b/s2.txt", "a/s3.xml", "a/s1.txt", "a/x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [p.relative_to(tmp_path).as_posix() for p in find_report_files(tmp_path)] == [
        "a/s1.txt",
        "a/s3.xml",
        "b/s2.txt",
    ]
