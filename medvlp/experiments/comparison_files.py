"""What a comparison writes beside its page: `compare.json`, `compare.csv` and `table.md`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from medvlp.evaluation.compare_methods import ComparisonResult
from medvlp.metrics import Estimate
from medvlp.training.model_folder import with_notice


def write_files(result: ComparisonResult, folder: Path) -> None:
    """Write all three; the notice of generated data stands in each."""
    (folder / "compare.json").write_text(json.dumps(result.to_json(), indent=2) + "\n")
    for name, table in result.tables().items():
        with_notice(table, result.notice).to_csv(folder / name, index=False)
    (folder / "table.md").write_text(markdown_table(result))


def markdown_table(result: ComparisonResult) -> str:
    """The table as Markdown, for a page of documentation."""
    head, rows = result.summary()
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    below = [*result.remarks(), *([result.notice] if result.notice else [])]
    return "\n".join(lines) + "\n" + "".join(f"\n{words}\n" for words in below)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Estimate):
        return value.text(digits=3)
    return f"{value:.3g}" if isinstance(value, float) else str(value).replace("|", "\\|")
