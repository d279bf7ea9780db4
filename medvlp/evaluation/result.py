"""`Result`: what every evaluation gives: figures with intervals, the protocol that decides them, and files of both."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from medvlp.metrics import Estimate
from medvlp.training.model_folder import with_notice


@dataclass(frozen=True, eq=False, kw_only=True)
class Result(ABC):
    """Figures of one model on one split.

    Attributes:
        task: the name of what was measured.
        protocol: everything that decides the figures beside the model: store, split, labels, resamples, ...
        notice: what must stand on it, of a model trained on generated data, or None.
    """

    task: str
    protocol: dict[str, Any]
    notice: str | None

    @abstractmethod
    def figures_by_name(self) -> dict[str, Any]:
        """All figures: name -> estimate or number, nested where there are several findings or structures."""

    @abstractmethod
    def summary(self) -> tuple[list[str], list[list[Any]]]:
        """Headings and rows for people; `str` of a cell is what is shown."""

    def tables(self) -> dict[str, pd.DataFrame]:
        """File name -> what stands behind the figures, row by row."""
        return {}

    def remarks(self) -> list[str]:
        """What a reader of the figures has to know beside them."""
        return []

    def to_json(self) -> dict[str, Any]:
        """Plain values: what `--json` prints and `result.json` holds."""
        figures = {name: _plain(value) for name, value in self.figures_by_name().items()}
        return {"task": self.task, "notice": self.notice, **figures, "protocol": self.protocol}

    def save(self, folder: str | Path) -> Path:
        """Write `result.json` and the tables."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "result.json").write_text(json.dumps(self.to_json(), indent=2) + "\n")
        for name, table in self.tables().items():
            with_notice(table, self.notice).to_csv(folder / name, index=False)
        return folder


def estimate_columns(name: str, estimate: Estimate) -> dict[str, float]:
    """An estimate as the three columns of a table: `name`, `name_low`, `name_high`."""
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _plain(value: Any) -> Any:
    if isinstance(value, Estimate):
        return value.to_json()
    if isinstance(value, float) and math.isnan(value):
        return None  # JSON has no NaN
    return {name: _plain(v) for name, v in value.items()} if isinstance(value, Mapping) else value
