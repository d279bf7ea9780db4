"""`LossBuffer`: the losses of the steps since the last log line, kept on the device until somebody reads them.

Reading a loss waits for the device. So a step only writes into the buffer; the log step reads all of it at once, and
that is also when a loss that is no number is found, with the images of its batch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor

from medvlp.errors import MedVLPError


class DivergedError(MedVLPError, RuntimeError):
    """A loss or gradient that is no finite number; the message says where its batch was saved."""


class LossBuffer:
    """Losses by name and gradient norm of up to `length` steps.

    Args:
        fabric: its ranks are averaged when the buffer is read.
        length: steps between two reads, at most.
        replay_folder: where the image ids of a diverged batch are written.
    """

    def __init__(self, fabric: Fabric, length: int, replay_folder: Path) -> None:
        self.fabric, self.length, self.replay_folder = fabric, length, replay_folder
        self._names: list[str] = []
        self._values = torch.empty(0)
        self._steps: list[int] = []
        self._images: list[list[str]] = []

    def add(self, step: int, losses: dict[str, Tensor], norm: Tensor | None, images: list[str]) -> None:
        """Write one step's scalars; no host sync."""
        scalars = {**losses, "gradient_norm": norm} if norm is not None else losses
        if not self._names:
            self._names = list(scalars)
            self._values = torch.zeros(self.length, len(scalars), device=self.fabric.device)
        if scalars.keys() != set(self._names):
            raise RuntimeError(f"losses changed their names during training: {self._names}, now {list(scalars)}")
        row = [scalars[name].detach().float() for name in self._names]
        torch.stack(row, out=self._values[len(self._steps)])
        self._steps.append(step)
        self._images.append(images)

    def read(self) -> dict[str, float]:
        """Mean of each scalar since the last read, and `loss`, their sum without the norm; empties the buffer.

        This waits for the device, once.

        Raises:
            DivergedError: a step was not finite.
        """
        count = len(self._steps)
        if not count:
            return {}
        values = self.fabric.all_reduce(self._values[:count], reduce_op="mean")
        assert isinstance(values, Tensor)  # a tensor in, a tensor out
        rows: list[list[float]] = values.tolist()
        steps, images = self._steps, self._images
        self._steps, self._images = [], []
        for step, row, ids in zip(steps, rows, images, strict=True):
            if not all(map(math.isfinite, row)):
                self._diverged(step, row, ids)
        means = {name: sum(column) / count for name, column in zip(self._names, zip(*rows, strict=True), strict=True)}
        return {"loss": sum(value for name, value in means.items() if name != "gradient_norm"), **means}

    def _diverged(self, step: int, row: Sequence[float], images: list[str]) -> None:
        path = diverged_file(self.replay_folder, self.fabric.global_rank)
        values = dict(zip(self._names, map(str, row), strict=True))
        path.write_text(json.dumps({"step": step, "values": values, "image_ids": images}, indent=1) + "\n")
        wrong = ", ".join(f"{name} = {value}" for name, value in values.items() if not math.isfinite(float(value)))
        raise DivergedError(
            f"Training diverged at step {step}: {wrong}. The images of that batch are listed in {path}; "
            "medvlp.training.batches.diverged_batches makes it again (docs/training.md). Checkpoints and saved models, "
            "where there are any, are from before. In a new folder, try a lower training.learning_rate, a longer "
            "training.warmup_steps or training.precision=32."
        )


def diverged_file(folder: Path, rank: int) -> Path:
    """Where a rank of the run in `folder` lists the images of a diverged batch."""
    return folder / (f"diverged-rank{rank}.json" if rank else "diverged.json")
