"""Labels, sections and triples of many reports."""

import csv
import tracemalloc

from medvlp.knowledge import LabelSpace
from medvlp.knowledge.report_tables import label_reports

REPORTS = [
    ("a", "HISTORY: Cough.\nFINDINGS: Small left effusion. No pneumothorax.\nIMPRESSION: Possible pneumonia."),
    ("b", 'Text, with "quotes"\nand lines. Cardiomegaly.'),
]


def _rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_three_tables(tmp_path):
    paths = [tmp_path / name for name in ("labels.csv", "sections.csv", "triples.csv")]
    space = LabelSpace.load("nih14")
    done = list(label_reports(REPORTS, space, paths[0], "keep", paths[1], paths[2]))
    assert done == ["a", "b"]
    labels, sections, triples = map(_rows, paths)
    assert list(labels[0]) == ["id", *space.labels, "remark"]
    stated = {label: cell for label, cell in labels[0].items() if cell}
    assert stated == {"id": "a", "Effusion": "1", "Pneumothorax": "0", "Pneumonia": "u", "remark": "ok"}
    assert labels[1]["Cardiomegaly"] == "1"
    assert sections[0]["history"] == "Cough."
    assert sections[0]["impression"] == "Possible pneumonia."
    assert triples[0] == {"id": "a", "finding": "pleural_effusion", "place": "left_pleural", "assertion": "present"}
    assert [row["id"] for row in triples] == ["a", "a", "a", "b"]


def test_hedges_are_resolved_where_asked(tmp_path):
    path = tmp_path / "labels.csv"
    list(label_reports(REPORTS, LabelSpace.load("nih14"), path, "present"))
    assert _rows(path)[0]["Pneumonia"] == "1"


def test_memory_does_not_grow_with_the_number_of_reports(tmp_path):
    def peak(count):
        reports = ((f"r{k}", f"Left effusion, {k % 97} mm nodule.") for k in range(count))
        tracemalloc.start()
        for _ in label_reports(reports, LabelSpace.load("nih14"), tmp_path / "labels.csv"):
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak(100)
    assert peak(1_500) < 1.5 * peak(300) + 100_000
