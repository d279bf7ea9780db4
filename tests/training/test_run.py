"""Whole runs of both kinds: what each step hands to the optimizer, which weights are saved, and what is printed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from medvlp.data import Store
from medvlp.methods.pretraining_objective import PretrainingObjective
from medvlp.training.batches import make_loader
from medvlp.training.checkpoint import load_state
from medvlp.training.finetune_recipe import FinetuneRecipe
from medvlp.training.finetuning import finetune, load_finetuned
from medvlp.training.heads.segmentation import mean_dice, row_areas
from medvlp.training.model_folder import TrainedModel, load_model
from medvlp.training.pretraining import pretrain
from medvlp.training.recipe import Recipe
from medvlp.training.run_log import RunLog
from medvlp.training.validation import ValidationLoss

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


@pytest.mark.parametrize("start", ["pretraining", "segmentation"], indirect=True)
def test_what_is_saved_was_validated_the_average_on_the_validation_split(
    start: Callable[..., Path], tiny_store: Store, store: Store, request: pytest.FixtureRequest
) -> None:
    pretraining = "pretraining" in request.node.name
    metric = "loss" if pretraining else "dice"
    settings = ["max_steps=6", "epochs=null", "warmup_steps=1", "learning_rate=2e-2", "ema=0.6"]
    run = start(*(f"training.{setting}" for setting in [*settings, *(["metric=loss"] if pretraining else [])]))
    data = tiny_store if pretraining else store

    def measure(folder: Path, split: str, raw: bool = False) -> float:
        model = load_model(folder, "cpu") if pretraining else load_finetuned(folder, "cpu")
        module = model.method if isinstance(model, TrainedModel) else model.net
        if raw:
            module.load_state_dict(state.model)
        if not isinstance(model, TrainedModel):
            return mean_dice(row_areas(model.probabilities, ["lungs"], data, data.rows(split)))
        needs, rows = model.method.required_fields, data.rows(split)
        loader = make_loader(model.recipe, data, model.tokenizer, needs, rows, train=False)
        return ValidationLoss(loader)(PretrainingObjective(model.method, {}), Fabric(accelerator="cpu"))["loss"]

    state = load_state(run)
    assert state is not None
    assert state.moving_average is not None
    saved = load_file(run / "last" / "model.safetensors")
    assert all(torch.equal(saved[name], average) for name, average in state.moving_average.items())
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    values = {line["step"]: line[metric] for line in lines if line["split"] == "validate"}
    assert (len(values), max(values)) == (2, 6)
    assert measure(run / "last", "validate") == pytest.approx(values[6], rel=1e-5)
    assert measure(run / "last", "train") != pytest.approx(values[6], rel=1e-3)
    assert measure(run / "last", "validate", raw=True) != pytest.approx(values[6], rel=1e-3)
    card = json.loads((run / "card.json").read_text())
    assert card[metric] == values[card["step"]] == (min if pretraining else max)(values.values())
    assert measure(run, "validate") == pytest.approx(card[metric], rel=1e-5)


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
