"""The page on adding a task: its file, its commands and its test are run as they stand there."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from medvlp.cli.main import app
from medvlp.data import Store
from medvlp.evaluation import TASKS
from medvlp.tasks import Model

DOCS = Path(__file__).parents[2] / "docs"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", (DOCS / "adding-a-task.md").read_text(), re.DOTALL)
NAME = "nearest-neighbors"


@pytest.fixture(scope="module")
def task_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The page's file, imported; its task is forgotten afterwards."""
    path = tmp_path_factory.mktemp("task") / "nearest_neighbors.py"
    path.write_text(next(text for kind, text in BLOCKS if kind == "python"))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    yield module
    del TASKS._members[NAME], sys.modules[path.stem]


@pytest.fixture
def workplace(task_file: ModuleType, model_folder: Path, store: Store, tmp_path: Path, monkeypatch) -> Path:
    """A folder with `runs/devide` and `store`, as the page names them."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "devide").symlink_to(model_folder)
    (tmp_path / "store").symlink_to(store.path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_of_the_page_run(workplace: Path) -> None:
    for kind, text in BLOCKS:
        if kind == "bash":
            done = CliRunner().invoke(app, shlex.split(text)[1:])
            assert done.exit_code == 0, done.output
            assert NAME in done.stdout
    assert (workplace / "results" / "result.json").exists()
    shown = CliRunner().invoke(app, ["evaluate", "--help"]).output
    assert f"{NAME}: AUROC of the labels that the nearest training images vote for." in shown
    assert "k=5  training images that vote" in shown


def test_the_python_of_the_page_runs(workplace: Path, model: Model, store: Store) -> None:
    for text in [text for kind, text in BLOCKS if kind == "python"][1:]:
        names: dict = {}
        exec(text, names)
        for test in [value for name, value in names.items() if name.startswith("test_")]:
            test(model, store)
    assert (workplace / "results" / "nearest" / "scores.csv").exists()


def test_every_task_has_its_line_in_the_documentation() -> None:
    page = (DOCS / "tasks.md").read_text()
    assert [name for name in TASKS if f"| `{name}` |" not in page and name != NAME] == []
