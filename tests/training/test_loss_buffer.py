"""Means since the last read, and a loss that is no number is traced to its batch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from medvlp.training.host_syncs import HostSyncs
from medvlp.training.loss_buffer import DivergedError, LossBuffer


@pytest.fixture
def buffer(tmp_path: Path) -> LossBuffer:
    return LossBuffer(Fabric(accelerator="cpu", devices=1), 4, tmp_path)


def add(buffer: LossBuffer, step: int, a: float, b: float, norm: float = 2.0) -> None:
    buffer.add(step, {"a": torch.tensor(a), "b": torch.tensor(b)}, torch.tensor(norm), [f"image{step}"])


def test_means_since_the_last_read(buffer: LossBuffer) -> None:
    add(buffer, 1, 1.0, 10.0)
    add(buffer, 2, 3.0, 20.0)
    assert buffer.read() == {"loss": 17.0, "a": 2.0, "b": 15.0, "gradient_norm": 2.0}
    add(buffer, 3, 5.0, 5.0)
    assert buffer.read()["loss"] == 10.0
    assert buffer.read() == {}


def test_adding_does_not_wait_for_the_device(buffer: LossBuffer) -> None:
    add(buffer, 1, 1.0, 1.0)
    terms = {"a": torch.tensor(1.0), "b": torch.tensor(1.0)}
    with HostSyncs() as syncs:
        buffer.add(2, terms, torch.tensor(1.0), ["x"])
    assert syncs.found == []
    with HostSyncs() as syncs:
        buffer.read()
    assert len(syncs.found) == 1


@pytest.mark.parametrize(
    ("bad", "named"), [((float("nan"), 1.0, 1.0), "a = nan"), ((1.0, 1.0, float("inf")), "gradient_norm = inf")]
)
def test_the_first_bad_batch_is_saved(
    buffer: LossBuffer, tmp_path: Path, bad: tuple[float, float, float], named: str
) -> None:
    add(buffer, 6, 1.0, 1.0)
    add(buffer, 7, *bad)
    add(buffer, 8, float("nan"), float("nan"))
    with pytest.raises(DivergedError, match="diverged at step 7") as caught:
        buffer.read()
    assert named in str(caught.value)
    saved = json.loads((tmp_path / "diverged.json").read_text())
    assert (saved["step"], saved["image_ids"]) == (7, ["image7"])


def test_changed_names_are_refused(buffer: LossBuffer) -> None:
    add(buffer, 1, 1.0, 1.0)
    with pytest.raises(RuntimeError, match="changed their names"):
        buffer.add(2, {"a": torch.tensor(1.0)}, None, [])
