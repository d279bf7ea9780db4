"""A `Result` on the terminal: one table, or several of fewer columns where it is narrow, so that no figure is lost."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medvlp.evaluation.result import Result

_FILE_WIDTH = 240  # of remarks, where there is no terminal


def print_result(result: Result) -> None:
    """The table of a result on standard output, with its remarks and its notice."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    headings, rows = result.summary()
    lines = [headings, *(["" if cell is None else str(cell) for cell in row] for row in rows)]
    widths = [max(Text(line[c]).cell_len for line in lines) for c in range(len(headings))]
    console = Console() if sys.stdout.isatty() else Console(width=max(_FILE_WIDTH, _table_width(widths)))
    title = f"{result.task}, {result.protocol['patients']} patients, 95 % intervals"
    for columns in _blocks(widths, console.width):
        table = Table(title=title)
        for c in columns:
            table.add_column(Text(headings[c]), justify="left" if c == 0 else "right", overflow="fold")
        for line in lines[1:]:
            table.add_row(*(Text(line[c]) for c in columns))
        console.print(table)
        title = ""
    for remark in result.remarks():
        console.print(Text(remark), style="dim")
    if result.notice:
        console.print(Text(result.notice), style="bold yellow")


def _blocks(widths: Sequence[int], room: int) -> Iterator[list[int]]:
    """Columns side by side, as many as there is room for; the first, which names the rows, stands in each block."""
    block = [0]
    for c in range(1, len(widths)):
        if len(block) > 1 and _table_width([widths[k] for k in (*block, c)]) > room:
            yield block
            block = [0]
        block.append(c)
    yield block


def _table_width(widths: Sequence[int]) -> int:
    """With a space on both sides of a cell, and lines around and between."""
    return 1 + sum(width + 3 for width in widths)
