"""A room (folder) of the package imports only from rooms above it, also inside functions and for types."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import medvlp

PACKAGE = Path(medvlp.__file__).parent
READS = ("io", "reports", "knowledge", "phantom", "metrics")  # and need no torch
LAYERS = (
    "io",
    "reports",
    "knowledge",
    "phantom",
    "data",
    "metrics",
    "models",
    "objectives",
    "methods",
    "training",
    "tasks",
    "evaluation",
    "viz",
    "experiments",
)


def imported(source: str) -> Iterator[str]:
    """Every module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def below(layer: str, source: str) -> list[str]:
    """What a file of a layer imports from layers below it."""
    lower = (*LAYERS[LAYERS.index(layer) + 1 :], "cli")
    found = [module.split(".") for module in imported(source)]
    return [".".join(parts) for parts in found if parts[0] == "medvlp" and len(parts) > 1 and parts[1] in lower]


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_from_above_alone(layer: str) -> None:
    files = sorted((PACKAGE / layer).rglob("*.py"))
    wrong = {str(f.relative_to(PACKAGE)): names for f in files if (names := below(layer, f.read_text()))}
    assert files
    assert wrong == {}


@pytest.mark.parametrize("layer", READS)
def test_what_reads_and_measures_needs_no_torch(layer: str) -> None:
    files = (PACKAGE / layer).rglob("*.py")
    heads = {f.name: {name.split(".")[0] for name in imported(f.read_text())} for f in files}
    assert [name for name, modules in heads.items() if "torch" in modules] == []


def test_an_import_from_below_is_seen() -> None:
    inside = "def f():\n    from medvlp.training.loop import Trainer\n    return Trainer\n"
    assert below("models", inside) == ["medvlp.training.loop"]
    assert below("tasks", inside) == []
