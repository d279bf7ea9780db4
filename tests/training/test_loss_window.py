"""Means since the last read, and a loss that is no number is traced to its batch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from medvlp.training.host_syncs import HostSyncs
from medvlp.training.loss_window import DivergedError, LossWindow


@pytest.fixture
def window(tmp_path: Path) -> LossWindow:
    return LossWindow(Fabric(accelerator="cpu", devices=1), 4, tmp_path)


def add(window: LossWindow, step: int, a: float, b: float, norm: float = 2.0) -> None:
    window.add(step, {"a": torch.tensor(a), "b": torch.tensor(b)}, torch.tensor(norm), [f"image{step}"])


def test_means_since_the_last_read(window: LossWindow) -> None:
    add(window, 1, 1.0, 10.0)
    add(window, 2, 3.0, 20.0)
    assert window.read() == {"loss": 17.0, "a": 2.0, "b": 15.0, "gradient_norm": 2.0}
    add(window, 3, 5.0, 5.0)
    assert window.read()["loss"] == 10.0
    assert window.read() == {}


def test_adding_does_not_wait_for_the_device(window: LossWindow) -> None:
    add(window, 1, 1.0, 1.0)
    terms = {"a": torch.tensor(1.0), "b": torch.tensor(1.0)}
    with HostSyncs() as syncs:
        window.add(2, terms, torch.tensor(1.0), ["x"])
    assert syncs.found == []
    with HostSyncs() as syncs:
        window.read()
    assert len(syncs.found) == 1


@pytest.mark.parametrize(
    ("bad", "named"), [((float("nan"), 1.0, 1.0), "a = nan"), ((1.0, 1.0, float("inf")), "gradient_norm = inf")]
)
def test_the_first_bad_batch_is_saved(
    window: LossWindow, tmp_path: Path, bad: tuple[float, float, float], named: str
) -> None:
    add(window, 6, 1.0, 1.0)
    add(window, 7, *bad)
    add(window, 8, float("nan"), float("nan"))
    with pytest.raises(DivergedError, match="diverged at step 7") as caught:
        window.read()
    assert named in str(caught.value)
    saved = json.loads((tmp_path / "diverged.json").read_text())
    assert (saved["step"], saved["image_ids"]) == (7, ["image7"])


def test_changed_names_are_refused(window: LossWindow) -> None:
    add(window, 1, 1.0, 1.0)
    with pytest.raises(RuntimeError, match="changed their names"):
        window.add(2, {"a": torch.tensor(1.0)}, None, [])
