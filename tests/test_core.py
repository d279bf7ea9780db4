"""The core of the package works without its extras: files are read, reports parsed and data prepared without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT_EXTRAS = """
import sys
from medvlp.errors import _EXTRAS

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {package for packages in _EXTRAS.values() for package in packages}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
import medvlp
"""


def run(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", WITHOUT_EXTRAS + code], capture_output=True, text=True, cwd=cwd)


@pytest.mark.parametrize("room", ["io", "reports", "knowledge", "phantom", "metrics", "viz", "cli"])
def test_every_file_of_a_core_room_imports(room: str, tmp_path: Path) -> None:
    done = run(
        f"import importlib, pkgutil; room = importlib.import_module('medvlp.{room}')\n"
        f"for file in pkgutil.walk_packages(room.__path__, 'medvlp.{room}.'): importlib.import_module(file.name)",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr


def test_studies_are_generated_indexed_prepared_and_parsed(tmp_path: Path) -> None:
    code = """
from medvlp.cli.main import app
for line in (
    "data phantom phantom --patients 2 --size 64",
    "data index phantom phantom -o manifest.csv",
    "data prepare manifest.csv -o store --size 32 --workers 0",
):
    try:
        app(line.split())
    except SystemExit as end:
        assert end.code == 0, line
assert medvlp.parse_report("No effusion.").sentences
"""
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "store").is_dir()


def test_what_needs_an_extra_names_it(tmp_path: Path) -> None:
    done = run("medvlp.load", tmp_path)
    assert "pip install 'medvlp[train]'" in done.stderr
    done = run("from medvlp.cli.main import app; app(['label', 'model', 'image.png'])", tmp_path)
    assert done.returncode == 2
    assert "pip install 'medvlp[train]'" in done.stderr
    assert "Traceback" not in done.stderr
