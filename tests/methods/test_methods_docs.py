"""What docs/methods/index.md and docs/adding-a-method.md list is what the package has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from medvlp.methods.extras.registry import extras_by_name
from medvlp.methods.registry import method_class, method_names

ROOT = Path(__file__).parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs/methods/index.md").read_text(encoding="utf-8").splitlines()
    if line.startswith(("| [", "| `"))
]


def test_the_table_lists_every_method_with_what_it_needs() -> None:
    listed = {row[0].split("]")[0][1:]: set(re.findall(r"`(\w+)`", row[3])) for row in ROWS if row[0].startswith("[")}
    assert listed == {name: set(method_class(name).needs) for name in method_names()}


def test_the_table_lists_every_extra_with_what_it_needs() -> None:
    listed = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[3])) for row in ROWS if row[0].startswith("`")}
    assert listed == {name: set(extra.needs) for name, extra in extras_by_name().items()}


@pytest.mark.parametrize("name", method_names())
def test_the_page_of_a_method_names_each_of_its_options(name: str) -> None:
    page = (ROOT / f"docs/methods/{name}.md").read_text(encoding="utf-8")
    assert [option for option in method_class(name).Options.model_fields if f"`{option}" not in page] == []


@pytest.mark.parametrize("folder", ["models", "objectives"])
def test_the_list_of_parts_holds_every_file(folder: str) -> None:
    page = (ROOT / "docs/adding-a-method.md").read_text(encoding="utf-8")
    files = {path.name for path in (ROOT / "medvlp" / folder).glob("*.py")} - {"__init__.py"}
    assert sorted(name for name in files if f"`{name}`" not in page) == []
