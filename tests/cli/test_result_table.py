"""A table of a result holds every figure, however narrow the terminal."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from medvlp.cli.result_table import print_result
from medvlp.evaluation.result import Result
from medvlp.metrics import Estimate

HEADINGS = ["method", "macro AUROC", "between seeds", "above clip", "precision@5", "samples/s", "seeds"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Wide(Result):
    """Seven columns, with words that look like markup and a cell that is missing."""

    task: str = "comparison"
    name: str = "devide [dim]"

    def figures_by_name(self) -> dict[str, Any]:
        return {}

    def summary(self) -> tuple[list[str], list[list[Any]]]:
        estimate = Estimate(0.81234, 0.7, 0.9, 40)
        return HEADINGS, [[self.name, estimate, 0.0123, None, Estimate(0.33, 0.21, 0.45, 40), 1234, 3]]

    def remarks(self) -> list[str]:
        return ["seed 1 failed: no [rows] to load"]


RESULT = Wide(protocol={"patients": 40}, notice=None)
FIGURES = ["0.81 [0.70, 0.90]", "0.0123", "0.33 [0.21, 0.45]", "1234", "3"]


def printed(capsys: pytest.CaptureFixture[str], result: Result) -> str:
    print_result(result)
    return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)


def on_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make standard output a terminal of so many columns."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))


def test_a_file_gets_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, RESULT).splitlines()
    (row,) = [line for line in lines if "devide [dim]" in line]
    assert all(figure in row for figure in FIGURES)
    assert max(map(len, lines)) < 160
    wide = Wide(protocol={"patients": 40}, notice=None, name="x" * 300)
    assert "x" * 300 in printed(capsys, wide)


@pytest.mark.parametrize(("columns", "blocks"), [(200, 1), (60, 3), (40, 5)])
def test_a_narrow_terminal_gets_blocks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int, blocks: int
) -> None:
    on_terminal(columns, monkeypatch)
    text = printed(capsys, RESULT)
    assert max(map(len, text.splitlines())) <= columns
    assert text.count("devide [dim]") == text.count("method") == blocks
    assert text.count("40 patients") == 1
    assert all(words in text for words in [*HEADINGS, *FIGURES, "no [rows] to load"])
    assert "…" not in text


def test_a_terminal_narrower_than_a_column_wraps(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_terminal(24, monkeypatch)
    text = printed(capsys, RESULT)
    assert "…" not in text
    assert all(part in text for figure in FIGURES for part in figure.split())
