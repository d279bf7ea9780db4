"""The step against a bare reference, accumulation, exact order, no host sync, and mixed precision."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric

from medvlp.training.host_syncs import HostSyncs
from medvlp.training.loop import Trainer, step_batches
from medvlp.training.loss_buffer import LossBuffer
from medvlp.training.optimizer import learning_rate
from medvlp.training.recipe import TrainingRecipe
from medvlp.training.recipe_errors import RecipeError


def make_trainer(task: Any, folder: Path, **settings: Any) -> Trainer:
    recipe = TrainingRecipe(**{"precision": "32", "warmup_steps": 2, "log_every": 50, **settings})
    precision = {"bf16": "bf16-mixed", "32": "32-true"}[recipe.precision]
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision)  # type: ignore[arg-type]
    task.train()
    return Trainer(fabric, task, recipe, 0, 20, LossBuffer(fabric, 50, folder))


def test_steps_equal_a_bare_loop(
    toy_method: Callable, toy_task: Callable, toy_loader: Callable, tmp_path: Path
) -> None:
    trainer = make_trainer(toy_task(dropout=0.0), tmp_path, clip_norm=0.1, weight_decay=0.3)
    bare, loader = toy_method(dropout=0.0), toy_loader()
    matrices = [p for p in bare.parameters() if p.ndim > 1]
    vectors = [p for p in bare.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.3}, {"params": vectors, "weight_decay": 0.0}], betas=(0.9, 0.98)
    )
    for step, batches in enumerate(islice(step_batches(loader, 0, 1), 8)):
        trainer.train_step(batches)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, trainer.settings, 20)
        optimizer.zero_grad()
        sum(bare.losses(batches[0]).values()).backward()
        torch.nn.utils.clip_grad_norm_(bare.parameters(), 0.1)
        optimizer.step()
    for (name, got), expected in zip(trainer.task.model.named_parameters(), bare.parameters(), strict=True):
        torch.testing.assert_close(got, expected, msg=name)


def test_a_method_without_any_loss_is_refused(
    toy_task: Callable, toy_loader: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(toy_task(), tmp_path)
    monkeypatch.setattr(trainer.task, "losses", lambda batch: {})
    with pytest.raises(RecipeError, match="every loss of the method has the weight 0"):
        trainer.train_step(next(step_batches(toy_loader(), 0, 1)))


def test_accumulated_batches_give_the_gradient_of_one_large_batch(
    toy_task: Callable, toy_loader: Callable, tmp_path: Path
) -> None:
    """The loss is a mean over images, and in evaluation mode there are no batch statistics: the two are the same."""
    batches = [toy_loader().batch(0, position) for position in range(3)]
    large = toy_loader().batch(0, 0)
    large.images = torch.cat([batch.images for batch in batches])
    large.findings = torch.cat([batch.findings for batch in batches])
    trainers = [make_trainer(toy_task(), tmp_path, clip_norm=None) for _ in range(2)]
    for trainer, step in zip(trainers, (batches, [large]), strict=True):
        trainer.task.eval()
        trainer.train_step(step)
    for got, expected in zip(*(t.task.model.parameters() for t in trainers), strict=True):
        torch.testing.assert_close(got, expected)
        moments = [trainer.optimizer.state[p] for trainer, p in zip(trainers, (got, expected), strict=True)]
        for moment in ("exp_avg", "exp_avg_sq"):  # the step itself does not see the gradient's scale
            torch.testing.assert_close(moments[0][moment], moments[1][moment])
    values = [trainer.buffer.read() for trainer in trainers]
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_batches_of_a_step_are_a_function_of_its_number(toy_loader: Callable) -> None:
    loader = toy_loader(batches=5)
    whole = [[b.image_ids[0] for b in batches] for batches in islice(step_batches(loader, 0, 2), 7)]
    assert whole[2] == ["e0b4i0", "e1b0i0"]
    for start in range(7):
        again = islice(step_batches(loader, start, 2), 7 - start)
        assert [[b.image_ids[0] for b in batches] for batches in again] == whole[start:]
    assert (1, 1) in loader.asked  # step 3 begins at the second batch of the second epoch, and makes none before it


@pytest.mark.parametrize("settings", [{}, {"accumulate": 2, "ema": 0.99}, {"clip_norm": None, "precision": "bf16"}])
def test_no_host_sync_in_a_step(
    toy_task: Callable, toy_loader: Callable, tmp_path: Path, settings: dict[str, Any]
) -> None:
    trainer = make_trainer(toy_task(), tmp_path, **settings)
    batches = [toy_loader().batch(0, i) for i in range(settings.get("accumulate", 1))]
    trainer.train_step(batches)  # the first step makes the optimizer's state
    with HostSyncs() as syncs:
        trainer.train_step(batches)
        trainer.train_step(batches)
    assert syncs.found == []


def test_randomness_of_a_step_does_not_depend_on_what_ran_before(
    toy_task: Callable, toy_loader: Callable, tmp_path: Path
) -> None:
    trainers = [make_trainer(toy_task(dropout=0.5), tmp_path) for _ in range(2)]
    for trainer, disturbance in zip(trainers, (0, 17), strict=True):
        for batches in islice(step_batches(toy_loader(), 0, 1), 3):
            torch.rand(disturbance)
            trainer.train_step(batches)
    for one, other in zip(*(t.task.model.parameters() for t in trainers), strict=True):
        assert torch.equal(one, other)


def test_dropout_changes_from_step_to_step(toy_task: Callable, toy_loader: Callable, tmp_path: Path) -> None:
    trainer = make_trainer(toy_task(dropout=0.5), tmp_path, learning_rate=1e-12, weight_decay=0.0)
    batch = toy_loader().batch(0, 0)
    losses = []
    for _ in range(2):
        trainer.train_step([batch])
        losses.append(trainer.buffer.read()["loss"])
    assert losses[0] != losses[1]


def test_dropout_differs_between_ranks(
    toy_task: Callable, toy_loader: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = []
    for rank in (0, 1, 0):
        trainer = make_trainer(toy_task(dropout=0.5), tmp_path)
        monkeypatch.setattr(Fabric, "global_rank", rank)
        trainer.train_step([toy_loader().batch(0, 0)])
        losses.append(trainer.buffer.read()["loss"])
    assert losses[0] == losses[2] != losses[1]


def test_mixed_precision_computes_in_bfloat16_and_keeps_float32_weights(
    toy_task: Callable, toy_loader: Callable, tmp_path: Path
) -> None:
    trainer = make_trainer(toy_task(), tmp_path, precision="bf16")
    seen = []
    trainer.task.model.head.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    trainer.train_step([toy_loader().batch(0, 0)])
    assert seen == [torch.bfloat16]
    assert {p.dtype for p in trainer.task.model.parameters()} == {torch.float32}


def test_an_update_is_seen_by_caches_keyed_on_the_weights(
    toy_task: Callable, toy_loader: Callable, tmp_path: Path
) -> None:
    trainer = make_trainer(toy_task(), tmp_path)
    before = trainer.task.model.head.weight._version
    trainer.train_step([toy_loader().batch(0, 0)])
    assert trainer.task.model.head.weight._version > before


def test_saved_weights_are_the_averaged_ones(toy_task: Callable, toy_loader: Callable, tmp_path: Path) -> None:
    trainer = make_trainer(toy_task(), tmp_path, ema=0.9, learning_rate=0.1)
    for batches in islice(step_batches(toy_loader(), 0, 1), 5):
        trainer.train_step(batches)
    weights = trainer.weights()
    assert weights.keys() == trainer.task.model.state_dict().keys()
    assert trainer.average is not None
    assert torch.equal(weights["head.weight"], trainer.average.average["head.weight"])
    assert not torch.equal(weights["head.weight"], trainer.task.model.head.weight)
