"""`WorkDir`: the folder layout of an experiment, and which of its stages are finished."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from medvlp.io.atomic_write import atomic_folder


@dataclass(frozen=True)
class WorkDir:
    """The folder of one experiment.

    Attributes:
        out: the folder; `phantom/`, `store/`, `models/`, `segmenters/`, `results/`, `index.html` stand in it.
    """

    out: Path

    @property
    def phantom(self) -> Path:
        """Generated studies."""
        return self.out / "phantom"

    @property
    def store(self) -> Path:
        """The prepared store."""
        return self.out / "store"

    @property
    def page(self) -> Path:
        """The page of results."""
        return self.out / "index.html"

    @property
    def truth(self) -> Path:
        """Table of labels: what the generator drew in each image."""
        return self.phantom / "truth" / "images.csv"

    def model(self, name: str) -> Path:
        """A pretrained model's folder."""
        return self.out / "models" / name

    def segmenter(self, name: str) -> Path:
        """A fine-tuned model's folder."""
        return self.out / "segmenters" / name

    def results(self, *parts: str) -> Path:
        """A folder of figures."""
        return self.out.joinpath("results", *parts)

    @property
    def seconds(self) -> dict[str, float]:
        """Stage -> duration, over all starts of the experiment."""
        path = self.out / "seconds.json"
        return json.loads(path.read_text()) if path.is_file() else {}

    @contextmanager
    def stage(self, name: str, title: str) -> Iterator[None]:
        """Print the title of a stage, and add its duration to `seconds.json` when it succeeds."""
        from rich.console import Console

        Console(stderr=True).rule(f"[bold]{title}", align="left")
        started = time.monotonic()
        yield
        seconds = self.seconds
        seconds[name] = seconds.get(name, 0.0) + time.monotonic() - started
        with atomic_folder(self.out) as staging:
            (staging / "seconds.json").write_text(json.dumps(seconds, indent=2) + "\n")

    def done(self, stage: str) -> bool:
        """Whether an earlier start finished a stage."""
        return stage in self.seconds
