"""Every block of docs/adding-a-data-set.md is run, in order, as a newcomer would."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from medvlp.cli.main import app
from medvlp.data import SOURCES, SourceError, Store

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "adding-a-data-set.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for kind, text in BLOCKS if kind == language]


def pictures(folder: Path) -> None:
    folder.mkdir(parents=True)
    for number, name in enumerate("abc"):
        Image.fromarray(np.full((20, 20), 60 * number, np.uint8)).save(folder / f"{name}.png")


def run(command: str) -> str:
    words = shlex.split(command)
    assert words[0] == "medvlp"
    result = CliRunner().invoke(app, words[1:])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("source", ["table mine/reports.csv", "folder mine"])
def test_a_table_of_your_own(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / "mine" / "pictures")
    (tmp_path / "mine" / "reports.csv").write_text(blocks("csv")[0])
    said = run(blocks("bash")[0].replace("table mine/reports.csv", source))
    assert blocks("text")[0].strip() in said
    assert "3 images, 3 studies, 2 patients; 3 images with a report" in said


def test_a_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / "images")
    (tmp_path / "ours.csv").write_text(blocks("csv")[1])
    run(blocks("bash")[1])
    store = Store.open(tmp_path / "store")
    assert store.states(["pneumonia"], "table")[:, 0].tolist() == [0, 0, 2]


@pytest.mark.usefixtures("restored_sources")
def test_a_source(layout: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    source, _, test = blocks("python")
    (tmp_path / "two_readers.py").write_text(source)
    exec(compile("import two_readers\n" + test, "page", "exec"), (names := {}))
    names["test_readers_who_disagree"](layout)
    pictures(tmp_path / "archive" / "images")
    (tmp_path / "archive" / "labels.csv").write_text("file,patient,reader1,reader2\na.png,1,1,1\nb.png,2,0,1\n")
    said = run(blocks("bash")[2])
    assert "2 images, 2 studies, 2 patients" in said
    assert "two_readers" in CliRunner().invoke(app, ["data", "index", "--help"]).output
    sys.modules.pop("two_readers")


def test_label_columns_in_words_of_their_own(layout: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    code = compile(blocks("python")[1], "page", "exec")
    rows = "file,effusion_yes_no\na.png,yes\nb.png,no\nc.png,?\nd.png,\n"
    monkeypatch.chdir(layout({"clinic/exams.csv": rows}, []))
    exec(code, (names := {}))
    assert names["states"]["pleural_effusion"].tolist() == [1, 0, 2, -1]
    monkeypatch.chdir(layout({"clinic/exams.csv": rows + "e.png,maybe\n"}, []))
    with pytest.raises(SourceError, match="row 5, column 'pleural_effusion': 'maybe' is none of"):
        exec(code, {})


def test_a_source_of_another_package(tmp_path: Path) -> None:
    """The entry point of the page, as an installed package would have it: the command line knows the source."""
    info = tmp_path / "our_package-1.0.dist-info"
    (tmp_path / "our_package").mkdir()
    (tmp_path / "our_package" / "two_readers.py").write_text(blocks("python")[0])
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: our-package\nVersion: 1.0\n")
    header, line = blocks("toml")[0].replace('"', "").strip().splitlines()
    group = header.strip("[]").removeprefix("project.entry-points.")
    (info / "entry_points.txt").write_text(f"[{group}]\n{line}\n")
    code = "from medvlp.data import SOURCES; assert 'two_readers' in SOURCES, SOURCES.refused()"
    path = f"{tmp_path}:{ROOT}"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": path, "PATH": "/usr/bin:/bin"})


def test_the_page_of_data_lists_every_source_with_its_layout_and_defects() -> None:
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import generate_sources
    finally:
        sys.path.pop(0)
    assert generate_sources.MARK in (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    assert "docs/generate_sources.py" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    entries = re.split(r"^- \*\*`", generate_sources.source_list(), flags=re.MULTILINE)[1:]
    assert [entry.split("`")[0] for entry in entries] == SOURCES.names()
    for entry in entries:
        assert "Layout" in entry, entry
        assert "Known, and handled here" in entry, entry
