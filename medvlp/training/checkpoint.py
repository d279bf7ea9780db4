"""The state of a run: written so that a kill or a full disk leaves the previous one whole, read without pickled code.

Order and augmentation of the batches, the learning rate and all randomness of a step are pure functions of seed and
step. So the step number stands for loader position, scheduler and random states, and little else is to be kept.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medvlp.io.atomic_write import atomic_folder
from medvlp.training.recipe import RunRecipe
from medvlp.training.recipe_errors import RecipeError

STATE_FOLDER = "training_state"
# Settings that a resumed run may change, since they change no weight.
FREE_SETTINGS = {"training.log_every", "training.checkpoint_every", "training.threads", "data.prefetch"}


_OLD_NAMES = {"method": "model", "optimiser": "optimizer"}  # of states before version 0.2


class ResumeError(RecipeError):
    """A run that cannot be continued; says what differs."""


@dataclass
class RunState:
    """Everything a run needs to go on.

    Attributes:
        step: steps done.
        seconds: training time so far, for the log.
        recipe: as YAML. store: hash of the store.
        model, optimizer: their state dicts. moving_average: the averaged weights, or None.
        best: state of `BestModel`.
        trained_seconds: spent in steps alone, which `training.max_minutes` limits.
    """

    step: int
    seconds: float
    recipe: str
    store: str
    model: dict[str, Tensor]
    optimizer: dict[str, Any]
    moving_average: dict[str, Tensor] | None
    best: dict[str, float | int | None]
    trained_seconds: float = 0.0


def save_state(run_folder: Path, state: RunState) -> None:
    """Replace `training_state/state.pt` atomically.

    Raises:
        DiskFullError: the previous state is intact.
    """
    buffer = io.BytesIO()  # torch.save to a file turns a full disk into an error that does not say so
    torch.save(vars(state), buffer)
    with atomic_folder(run_folder / STATE_FOLDER) as staging:
        (staging / "state.pt").write_bytes(buffer.getbuffer())


def load_state(run_folder: Path) -> RunState | None:
    """The last state of a run, on the CPU, or None where there is none yet."""
    path = run_folder / STATE_FOLDER / "state.pt"
    if not path.exists():
        return None
    saved = torch.load(path, map_location="cpu", weights_only=True)
    return RunState(**{_OLD_NAMES.get(name, name): value for name, value in saved.items()})


def check_same_run(state: RunState, recipe: RunRecipe, store_hash: str, run_folder: Path) -> None:
    """Refuse to continue a run with another recipe or on other data.

    Raises:
        ResumeError: lists each setting that differs.
    """
    if state.store != store_hash:
        raise ResumeError(
            f"{run_folder} was trained on a store with hash {state.store}, this one has {store_hash}: its images, "
            "labels or preprocessing have changed. Resume with the old store, or train into another folder."
        )
    check_same_recipe(type(recipe).from_yaml(state.recipe), recipe, run_folder)


def check_same_recipe(before: RunRecipe, now: RunRecipe, run_folder: Path) -> None:
    """Refuse to go on in a folder that another recipe was begun in.

    Raises:
        ResumeError: lists each setting that differs.
    """
    old, new = before.flat(), now.flat()
    differing = [
        f"{key}: {old.get(key)!r} before, {new.get(key)!r} now"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key) and key not in FREE_SETTINGS
    ]
    if differing:
        raise ResumeError(
            f"{run_folder} was begun with another recipe, so it cannot be continued to the same result:\n  "
            + "\n  ".join(differing)
        )
