"""No command writes over what it reads, or reads what it wrote: the guard, and each verb behind it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from medvlp.cli.main import app
from medvlp.io.paths import PathConflictError, refuse_path_conflicts


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "a.png").touch()
    (tmp_path / "link").symlink_to(tmp_path / "in")
    return tmp_path


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("inputs", "outputs", "words"),
    [
        (["in/a.png"], ["in/../in/a.png"], "is read and would be written"),
        (["in"], ["link"], "is read and would be written"),
        (["in"], ["in/masks"], "lies in in, which is read"),
        (["link"], ["in/sub/masks"], "lies in link, which is read"),
        (["in/a.png"], ["in"], "where the output goes"),
        (["b.csv"], ["c.csv", "./c.csv"], "would be written twice"),
    ],
)
def test_conflicts(inputs: list[str], outputs: list[str], words: str) -> None:
    with pytest.raises(PathConflictError, match=words):
        refuse_path_conflicts(inputs, outputs)


@pytest.mark.usefixtures("here")
def test_what_is_apart_is_let_through() -> None:
    refuse_path_conflicts(["in"], ["out", None, "in.csv"])
    refuse_path_conflicts(["in"], ["in/labels.csv"], folders=False)


def test_no_verb_writes_over_its_input(here: Path) -> None:
    reports = here / "x.csv"
    reports.write_text("id,text\n1,Clear.\n")
    manifest = here / "m.csv"
    manifest.write_text("patient_id,study_id,image_id,path\n1,1,1,in/a.png\n")
    before = {path: path.read_bytes() for path in (reports, manifest)}
    label = ["report", "label", "x.csv", "--labels", "nih14", "-o"]
    for arguments in (
        [*label, "x.csv"],
        [*label, "y.csv", "--sections", "x.csv"],
        [*label, "y.csv", "--triples", "y.csv"],
        ["data", "index", "folder", "m.csv", "-o", "m.csv"],
        ["data", "index", "folder", "in", "-o", "x.csv"],
        ["data", "prepare", "m.csv", "-o", "."],
        ["label", "model", "x.csv", "-o", "x.csv"],
        ["ground", "model", "in/a.png", "effusion", "-o", "in/a.png"],
        ["segment", "model", "in", "-o", "in/masks"],
        ["segment", "model", "in/a.png", "-o", "in"],
        ["retrieve", "build", "model", "--table", "x.csv", "-o", "."],
    ):
        run = CliRunner().invoke(app, arguments)
        assert run.exit_code == 2, (arguments, run.output)
        assert any(word in " ".join(run.output.split()) for word in ("is read", "written twice", "is there")), (
            run.output
        )
        assert {path: path.read_bytes() for path in before} == before


def test_reports_of_one_name_have_ids_of_their_own(here: Path) -> None:
    for name in ("p1/report.txt", "p2/report.txt", "p2/other.txt", "p3/x.txt", "p3/x.xml"):
        (here / "reports" / name).parent.mkdir(parents=True, exist_ok=True)
        (here / "reports" / name).write_text(
            "<a><AbstractText>Clear.</AbstractText></a>" if "xml" in name else "Clear."
        )
    run = CliRunner().invoke(app, ["report", "label", "reports", "--labels", "nih14", "-o", "out.csv"])
    assert run.exit_code == 0, run.output
    ids = [line.split(",")[0] for line in (here / "out.csv").read_text().splitlines()[1:]]
    assert ids == ["p1/report", "other", "p2/report", "p3/x.txt", "p3/x.xml"]


def test_an_id_that_comes_again_is_refused_with_both_rows(here: Path) -> None:
    (here / "x.csv").write_text("id,text\n7,Clear.\n8,Clear.\n7,Effusion.\n")
    run = CliRunner().invoke(app, ["report", "label", "x.csv", "--labels", "nih14", "-o", "out.csv"])
    assert run.exit_code == 1
    assert (here / "out.csv.quarantine.csv").read_text().splitlines()[1] == "row 3,the id '7' is that of row 1 already"
