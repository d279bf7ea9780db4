"""`medvlp report parse` and `medvlp report label`."""

import csv
import gzip
import json

import pytest
from typer.testing import CliRunner

from medvlp.cli.main import app

REPORT = "FINDINGS: Small left pleural effusion. No pneumothorax.\nIMPRESSION: Possible pneumonia."
XML = b"""<eCitation><MedlineCitation><Abstract><AbstractText Label="FINDINGS">Cardiomegaly.</AbstractText>
</Abstract></MedlineCitation><MeSH><major>Pneumothorax</major></MeSH></eCitation>"""


@pytest.fixture
def run():
    return lambda *arguments, **options: CliRunner().invoke(app, ["report", *map(str, arguments)], **options)


def _rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_parse_prints_a_reading(tmp_path, run):
    path = tmp_path / "report.txt"
    path.write_text(REPORT)
    result = run("parse", path)
    assert result.exit_code == 0
    assert "pleural_effusion present" in result.stdout
    assert "small · left · left_pleural" in result.stdout
    assert 'pneumothorax absent by "No"' in result.stdout or 'pneumothorax absent by "no"' in result.stdout


def test_parse_prints_json_with_words_and_offsets(run):
    result = run("parse", "-", "--json", input=REPORT)
    reading = json.loads(result.stdout)
    assert reading["text"] == REPORT
    mention = reading["mentions"][0]
    assert mention["text"] == "pleural effusion" == REPORT[mention["start"] : mention["end"]]
    assert [s["name"] for s in reading["sections"]] == ["findings", "impression"]


def test_parse_reads_the_radiologist_and_not_the_index_terms_of_an_xml_file(tmp_path, run):
    path = tmp_path / "1.xml"
    path.write_bytes(XML)
    reading = json.loads(run("parse", path, "--json").stdout)
    assert [m["finding"] for m in reading["mentions"]] == ["cardiomegaly"]


def test_parse_of_a_missing_file_is_a_usage_error(tmp_path, run):
    result = run("parse", tmp_path / "none.txt")
    assert result.exit_code == 2
    assert "none.txt" in result.stderr


@pytest.mark.parametrize("name", ["reports.csv", "reports.csv.gz"])
def test_label_reads_a_table(tmp_path, run, name):
    path, out = tmp_path / name, tmp_path / "labels.csv"
    text = "id,text\n" + "".join(f'{k},"{REPORT}"\n' for k in range(3))
    (gzip.open if name.endswith("gz") else open)(path, "wb").write(text.encode())
    result = run("label", path, "-o", out, "--labels", "nih14", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"reports": 3, "refused": 0, "out": str(out)}
    assert [(r["id"], r["Effusion"], r["Pneumothorax"], r["Pneumonia"], r["Mass"]) for r in _rows(out)] == [
        (str(k), "1", "0", "u", "") for k in range(3)
    ]


@pytest.mark.parametrize(("hedged", "cell"), [("present", "1"), ("absent", "0"), ("table", "0"), ("keep", "u")])
def test_label_resolves_doubts(tmp_path, run, hedged, cell):
    path, out = tmp_path / "reports.csv", tmp_path / "labels.csv"
    path.write_text(f'study,report\n7,"{REPORT}"\n')
    columns = ["--id-column", "study", "--text-column", "report"]
    assert run("label", path, "-o", out, "--labels", "nih14", "--hedged", hedged, *columns).exit_code == 0
    assert _rows(out)[0]["Pneumonia"] == cell


def test_label_reads_a_folder_and_sets_bad_files_aside(tmp_path, run):
    folder = tmp_path / "files" / "p10"
    folder.mkdir(parents=True)
    (folder / "s1.txt").write_text(REPORT)
    (folder / "2.xml").write_bytes(XML)
    (folder / "3.xml").write_bytes(b"<eCitation>")
    (folder / "notes.pdf").write_bytes(b"")
    out = tmp_path / "labels.csv"
    extra = ["--sections", tmp_path / "sections.csv", "--triples", tmp_path / "triples.csv"]
    result = run("label", tmp_path / "files", "-o", out, "--labels", "chexpert14", *extra)
    assert result.exit_code == 1
    assert [r["id"] for r in _rows(out)] == ["2", "s1"]
    assert _rows(tmp_path / "sections.csv")[1]["impression"] == "Possible pneumonia."
    assert len(_rows(tmp_path / "triples.csv")) == 4
    (refused,) = _rows(tmp_path / "labels.csv.quarantine.csv")
    assert refused["input"].endswith("3.xml")
    assert "XML" in refused["reason"]


def test_label_sets_bad_rows_aside(tmp_path, run):
    path, out = tmp_path / "reports.csv", tmp_path / "labels.csv"
    path.write_text("id,text\n1,Effusion.\n2\n,Effusion.\n")
    result = run("label", path, "-o", out, "--labels", "nih14")
    assert result.exit_code == 1
    assert [r["id"] for r in _rows(out)] == ["1"]
    assert [r["input"] for r in _rows(tmp_path / "labels.csv.quarantine.csv")] == ["row 2", "row 3"]


def test_label_tells_what_is_wrong_with_what_was_asked(tmp_path, run):
    path, out = tmp_path / "reports.csv", tmp_path / "labels.csv"
    path.write_text("key,text\n1,Effusion.\n")
    for arguments, words in (
        ([path, "--labels", "nih14"], "no column id"),
        ([path, "--labels", "nih15"], "nih14"),
        ([path, "--labels", "nih14", "--hedged", "perhaps"], "perhaps"),
        ([tmp_path / "none.csv", "--labels", "nih14"], "none.csv"),
    ):
        result = run("label", *arguments, "-o", out)
        assert result.exit_code == 2, arguments
        assert words in result.stderr
    assert not out.exists()
