"""`train`: the one engine. A recipe, and a task on its store, become a model folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy

from medvlp.data.store import Store
from medvlp.training.checkpoint import ResumeError, RunState, check_same_run, load_state
from medvlp.training.image_distribution import describe_training_images
from medvlp.training.precision import choose_precision
from medvlp.training.recipe import LoopRecipe, RunRecipe
from medvlp.training.recipe_errors import RecipeError
from medvlp.training.run import Run
from medvlp.training.run_log import METRICS_FILE
from medvlp.training.task import TrainingTask

AnyRecipe = TypeVar("AnyRecipe", bound=RunRecipe)
MakeTask = Callable[[AnyRecipe, Store, RunState | None, Fabric], TrainingTask]


def train(
    recipe: AnyRecipe, out: Path | str, make_task: MakeTask[AnyRecipe], resume: bool = False, progress: bool = True
) -> Path:
    """Train what `make_task` makes of the recipe and its store; returns the model folder `out`.

    `out` holds the best model by the validation metric (the last one where there is no validation split), `out/last`
    the last one, and beside them `metrics.jsonl`, `tensorboard/` and `training_state/`, which only resuming reads.
    At the end `training_images.safetensors` says what the training images look like to the model in `out`.

    Args:
        recipe: what to train, on what.
        out: a new folder, or with `resume` that of an interrupted run.
        make_task: called with recipe, store, the state of a continued run (None for a new one) and the fabric.
        resume: continue from the last checkpoint, to the same weights as an uninterrupted run (bit for bit on the same
            CPU with as many threads). A folder without a checkpoint is begun from the start.
        progress: show a live bar, and the plan of the run before its first step.

    Raises:
        RecipeError: the recipe does not fit the store, or names what does not exist.
        ResumeError: `out` holds a run and `resume` is False, or another run than the recipe's.
        DivergedError: a loss was no finite number.
        DiskFullError: no room for a checkpoint or model; the previous ones are intact.
    """
    out, settings = Path(out), recipe.training
    if not resume and ((out / METRICS_FILE).exists() or (out / "model.safetensors").exists()):
        raise ResumeError(f"{out} holds a run already. Continue it with --resume, or choose another folder.")
    if recipe.data.batch_size % settings.devices:
        raise RecipeError(
            f"data.batch_size: {recipe.data.batch_size} images cannot be shared equally by {settings.devices} devices."
        )
    if settings.max_minutes is not None and settings.devices > 1:
        raise RecipeError("training.max_minutes: ranks would stop at different steps; use training.max_steps.")
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    chosen = choose_precision(settings.precision, _device_type(settings.accelerator))
    fabric = Fabric(
        accelerator=settings.accelerator,
        devices=settings.devices,
        strategy=_ranks(settings) if settings.devices > 1 else "auto",
        precision=chosen.fabric,
    )
    fabric.launch()
    store = _open(recipe)
    state = load_state(out) if resume else None
    if state is not None:
        check_same_run(state, recipe, store.hash, out)
    Run(recipe, store, make_task(recipe, store, state, fabric), out, fabric, state, chosen.reason).train(show=progress)
    if fabric.is_global_zero:
        describe_training_images(out, store, recipe, str(fabric.device))
    return out


def _device_type(accelerator: str) -> str:
    """What Lightning Fabric runs on."""
    if accelerator in ("auto", "gpu"):
        has_gpu = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else None
        return has_gpu or "cpu"
    return accelerator


def _ranks(settings: LoopRecipe) -> DDPStrategy:
    """DDP for networks that leave some parameters unused (a trunk's last norm), the same ones in every step.

    A static graph finds them once, but fails together with skipped gradient reductions; then each step looks for them.
    """
    return DDPStrategy(static_graph=settings.accumulate == 1, find_unused_parameters=settings.accumulate > 1)


def _open(recipe: RunRecipe) -> Store:
    try:
        store = Store.open(recipe.data.store)
        _ = store.letterbox  # the encoders are of radiographs
        for split in (recipe.data.train_split, recipe.data.validate_split):
            store.rows(split, recipe.data.views)
    except (FileNotFoundError, ValueError) as error:
        raise RecipeError(f"data: {error}") from error
    return store
