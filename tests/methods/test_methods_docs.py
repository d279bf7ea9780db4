"""What docs/methods/index.md and docs/adding-a-method.md list is what the package has."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from medvlp.methods.auxiliary.base import AUXILIARY
from medvlp.methods.base import METHODS

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))
from generate_methods import generated_pages, with_new_methods  # noqa: E402

ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs/methods/index.md").read_text(encoding="utf-8").splitlines()
    if line.startswith(("| [", "| `"))
]


def test_the_table_says_what_each_method_requires() -> None:
    listed = {row[0].split("]")[0][1:]: set(re.findall(r"`(\w+)`", row[3])) for row in ROWS if row[0].startswith("[")}
    assert {name: required for name, required in listed.items() if name in METHODS} == listed
    assert listed == {name: set(METHODS.get(name).required_fields) for name in listed}


def test_the_table_says_what_each_auxiliary_loss_requires() -> None:
    listed = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[3])) for row in ROWS if row[0].startswith("`")}
    assert listed == {name: set(AUXILIARY.get(name).required_fields) for name in listed}


@pytest.mark.parametrize("name", METHODS.names())
def test_the_page_of_a_method_names_each_of_its_options(name: str) -> None:
    page = generated_pages().get(f"methods/{name}.md") or (ROOT / f"docs/methods/{name}.md").read_text(encoding="utf-8")
    assert [option for option in METHODS.get(name).Options.model_fields if f"`{option}" not in page] == []


def test_a_method_without_a_page_gets_one_and_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    METHODS.names()
    monkeypatch.setattr(METHODS, "_members", {**METHODS._members, "brand_new": METHODS.get("clip")})
    page = generated_pages()["methods/brand_new.md"]
    assert page.startswith("# brand_new\n\nCLIP for radiographs")
    assert "| `image_weight` | `0.5` |" in page
    index = with_new_methods((ROOT / "docs/methods/index.md").read_text(encoding="utf-8"))
    assert "| [brand_new](brand_new.md) | CLIP for radiographs" in index
    assert index.count("| [clip](clip.md)") == 1


@pytest.mark.parametrize("folder", ["models", "objectives"])
def test_the_list_of_parts_holds_every_file(folder: str) -> None:
    page = (ROOT / "docs/adding-a-method.md").read_text(encoding="utf-8")
    files = {path.name for path in (ROOT / "medvlp" / folder).glob("*.py")} - {"__init__.py"}
    assert sorted(name for name in files if f"`{name}`" not in page) == []
