"""A run that diverges leaves behind what its bad batch is made of again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from medvlp.cli.main import app
from medvlp.data.batch import Batch
from medvlp.data.preprocess import Preprocess
from medvlp.training.batches import diverged_batches
from medvlp.training.loop import Trainer
from medvlp.training.recipe import Recipe


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_planted_nan_stops_the_verb_and_its_batch_is_made_again(
    tiny_recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accumulate: int
) -> None:
    normalize, train_step, seen = Preprocess.normalize, Trainer.train_step, list[Sequence[Batch]]()

    def planting(self: Preprocess, images: torch.Tensor) -> torch.Tensor:
        images = normalize(self, images)
        if len(seen) == 3:  # without threads, a batch is made just before its step
            images[1, 0, 4, 4] = torch.nan
        return images

    def recording(self: Trainer, batches: Sequence[Batch]) -> None:
        seen.append(batches)
        train_step(self, batches)

    monkeypatch.setattr(Preprocess, "normalize", planting)
    monkeypatch.setattr(Trainer, "train_step", recording)
    settings = ["data.prefetch=0", "training.log_every=3", f"training.accumulate={accumulate}", "training.epochs=5"]
    (tmp_path / "recipe.yaml").write_text(tiny_recipe("method=medslip", *settings).to_yaml())
    out = tmp_path / "run"
    result = CliRunner().invoke(app, ["pretrain", str(tmp_path / "recipe.yaml"), "--out", str(out), "--json"])
    assert result.exit_code == 1
    assert "diverged at step 4" in result.stderr
    assert str(out / "diverged.json") in result.stderr
    seen_then = seen[3]
    seen[:] = [[]] * 3  # plants the same again
    again = diverged_batches(out)
    ids = [image for batch in again for image in batch.image_ids]
    assert ids == json.loads((out / "diverged.json").read_text())["image_ids"]
    assert [b.images.isnan().flatten(1).any(1).tolist().index(True) for b in again] == [1] * accumulate
    for made, trained in zip(again, seen_then, strict=True):
        for field in fields(Batch):
            one, other = getattr(made, field.name), getattr(trained, field.name)
            if isinstance(one, torch.Tensor):
                torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)
            else:
                assert one == other


def test_a_run_that_did_not_diverge_has_nothing_to_replay(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"diverged\.json"):
        diverged_batches(tmp_path)
