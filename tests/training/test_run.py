"""Whole runs of both kinds: what each step hands to the optimizer, which weights are saved, and what is printed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from medvlp.data import Store
from medvlp.training.checkpoint import load_state
from medvlp.training.finetune_recipe import FinetuneRecipe
from medvlp.training.finetuning import finetune
from medvlp.training.heads import Head
from medvlp.training.pretraining import PretrainingTask, pretrain
from medvlp.training.recipe import Recipe
from medvlp.training.run_log import RunLog
from medvlp.training.task import TrainingTask

HEADS = {
    "segmentation": "options: {structures: [lungs], width: 4}",
    "classification": "options: {findings: [pleural_effusion, pneumothorax, cardiomegaly]}",
}


@pytest.fixture
def start(
    request: pytest.FixtureRequest, tiny_recipe: Callable[..., Recipe], store: Store, tmp_path: Path
) -> Callable[..., Path]:
    """`start(override, ...)`: a run of a pretraining or of a head, as the parameter says; returns its folder."""

    def run(*overrides: str) -> Path:
        if request.param == "pretraining":
            return pretrain(tiny_recipe(*overrides), tmp_path / "run", progress=False)
        text = f"""
task: {request.param}
{HEADS[request.param]}
encoder: {{name: test_resnet.r160_in1k}}
data: {{store: {store.path}, batch_size: 10}}
training: {{precision: 32, accelerator: cpu, patience: null}}
"""
        return finetune(FinetuneRecipe.from_yaml(text, overrides), tmp_path / "run", progress=False)

    return run


@pytest.mark.parametrize("start", ["pretraining", "segmentation", "classification"], indirect=True)
def test_steps_are_scheduled_clipped_and_decayed(start: Callable[..., Path]) -> None:
    rates, norms, decays = [], [], []

    def note(optimizer: Optimizer, *_: object) -> None:
        groups = optimizer.param_groups
        gradients = [p.grad for group in groups for p in group["params"] if p.grad is not None]
        rates.append({round(group["lr"] / group["rate_scale"], 9) for group in groups})
        norms.append(torch.stack([gradient.norm() for gradient in gradients]).norm().item())
        decays.extend((group["weight_decay"], p.ndim >= 2) for group in groups for p in group["params"])

    settings = ("max_steps=6", "epochs=null", "warmup_steps=2", "learning_rate=1e-3", "clip_norm=1e-3", "log_every=1")
    hook = register_optimizer_step_pre_hook(note)
    try:
        run = start(*(f"training.{setting}" for setting in (*settings, "weight_decay=0.4")))
    finally:
        hook.remove()
    by_hand = [5e-4, 1e-3, 1e-3, 8.53553391e-4, 5e-4, 1.46446609e-4]  # two steps up, then half a cosine over four
    assert [list(step) for step in rates] == [[pytest.approx(rate, abs=1e-9)] for rate in by_hand]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["learning_rate"] for line in lines if line["split"] == "train"] == pytest.approx(by_hand)
    assert norms == pytest.approx([1e-3] * 6, rel=1e-2)
    assert set(decays) == {(0.4, True), (0.0, False)}


@pytest.mark.parametrize("start", ["pretraining", "segmentation", "classification"], indirect=True)
def test_what_is_saved_was_validated_the_average_on_the_validation_split(
    start: Callable[..., Path], tiny_store: Store, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    validated: list[dict[str, Tensor]] = []
    scored: set[int] = set()
    images = Store.images

    def noting(validate: Callable[..., Any]) -> Callable[..., Any]:
        def note(task: TrainingTask, fabric: Fabric) -> Any:
            validated.append({name: tensor.clone() for name, tensor in task.model.state_dict().items()})
            with monkeypatch.context() as patch:
                patch.setattr(Store, "images", lambda store, rows: scored.update(rows.tolist()) or images(store, rows))
                return validate(task, fabric)

        return note

    for kind in (PretrainingTask, Head):
        monkeypatch.setattr(kind, "validate", noting(kind.validate))
    run = start(*(f"training.{setting}" for setting in ("max_steps=6", "epochs=null", "ema=0.6", "warmup_steps=1")))
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in lines if line["split"] == "validate"]
    best = steps.index(json.loads((run / "card.json").read_text())["step"])
    for folder, weights in ((run, validated[best]), (run / "last", validated[-1])):
        saved = load_file(folder / "model.safetensors")
        assert all(torch.equal(saved[name], weights[name]) for name in weights)
    state = load_state(run)
    assert state is not None
    assert state.moving_average is not None
    assert all(torch.equal(average, validated[-1][name]) for name, average in state.moving_average.items())
    assert any(not torch.equal(raw, validated[-1][name]) for name, raw in state.model.items())
    data = tiny_store if "method:" in state.recipe else store
    assert scored == set(data.rows("validate").tolist())


@pytest.mark.parametrize(
    ("overrides", "standing"),
    [
        ([], r" \((best so far|best 0\.\d{4} at step \d)\)"),
        (["training.keep=last", "training.patience=5"], r" \((best so far|best 0\.\d{4} at step \d)\)"),
        (["training.keep=last"], ""),
    ],
)
def test_a_best_is_named_only_where_something_depends_on_it(
    tiny_recipe: Callable[..., Recipe],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    overrides: list[str],
    standing: str,
) -> None:
    said: list[str] = []
    monkeypatch.setattr(RunLog, "say", lambda log, text: said.append(text))
    recipe = tiny_recipe("training.max_steps=6", "training.validate_every=2", *overrides)
    pretrain(recipe, tmp_path / "run", progress=False)
    steps = [line for line in said if line.startswith("step")]
    assert len(steps) == 3
    assert all(re.fullmatch(rf"step \d: auroc 0\.\d{{4}}{standing}", line) for line in steps), steps
