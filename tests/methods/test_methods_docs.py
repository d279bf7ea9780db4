"""What docs/methods/index.md and docs/adding-a-method.md list is what the package has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from medvlp.methods.auxiliary.registry import AUXILIARY
from medvlp.methods.registry import METHODS

ROOT = Path(__file__).parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs/methods/index.md").read_text(encoding="utf-8").splitlines()
    if line.startswith(("| [", "| `"))
]


def test_the_table_lists_every_method_with_what_it_needs() -> None:
    listed = {row[0].split("]")[0][1:]: set(re.findall(r"`(\w+)`", row[3])) for row in ROWS if row[0].startswith("[")}
    assert listed == {name: set(METHODS.get(name).required_fields) for name in METHODS.names()}


def test_the_table_lists_every_extra_with_what_it_needs() -> None:
    listed = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[3])) for row in ROWS if row[0].startswith("`")}
    assert listed == {name: set(extra.required_fields) for name in AUXILIARY for extra in [AUXILIARY.get(name)]}


@pytest.mark.parametrize("name", METHODS.names())
def test_the_page_of_a_method_names_each_of_its_options(name: str) -> None:
    page = (ROOT / f"docs/methods/{name}.md").read_text(encoding="utf-8")
    assert [option for option in METHODS.get(name).Options.model_fields if f"`{option}" not in page] == []


@pytest.mark.parametrize("folder", ["models", "objectives"])
def test_the_list_of_parts_holds_every_file(folder: str) -> None:
    page = (ROOT / "docs/adding-a-method.md").read_text(encoding="utf-8")
    files = {path.name for path in (ROOT / "medvlp" / folder).glob("*.py")} - {"__init__.py"}
    assert sorted(name for name in files if f"`{name}`" not in page) == []
