"""The state comes back equal, and a failed write leaves the one before."""

from __future__ import annotations

import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medvlp.io.atomic_write import DiskFullError
from medvlp.training.checkpoint import ResumeError, RunState, check_same_run, load_state, save_state
from medvlp.training.recipe import Recipe


@pytest.fixture
def state(tiny_recipe: Callable[..., Recipe]) -> RunState:
    model = torch.nn.Linear(600, 600)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 600)).sum().backward()
    optimizer.step()
    return RunState(
        step=3,
        seconds=1.5,
        recipe=tiny_recipe().to_yaml(),
        store="abc",
        model=model.state_dict(),
        optimizer=optimizer.state_dict(),
        moving_average=None,
        best={"value": 0.5, "step": 2, "waited": 1},
    )


def test_what_was_saved_comes_back(state: RunState, tmp_path: Path) -> None:
    assert load_state(tmp_path) is None
    save_state(tmp_path, state)
    got = load_state(tmp_path)
    assert got is not None
    assert (got.step, got.best, got.recipe) == (3, state.best, state.recipe)
    assert torch.equal(got.model["weight"], state.model["weight"])
    assert torch.equal(got.optimizer["state"][0]["exp_avg"], state.optimizer["state"][0]["exp_avg"])


def test_a_full_disk_leaves_the_previous_state(state: RunState, tmp_path: Path) -> None:
    save_state(tmp_path, state)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(DiskFullError, match="intact"):
            save_state(tmp_path, replace(state, step=4))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    got = load_state(tmp_path)
    assert got is not None
    assert got.step == 3


def test_only_the_same_run_is_continued(state: RunState, tiny_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    check_same_run(state, tiny_recipe("training.log_every=9", "data.prefetch=0"), "abc", tmp_path)
    with pytest.raises(ResumeError, match="store with hash abc"):
        check_same_run(state, tiny_recipe(), "abd", tmp_path)
    with pytest.raises(ResumeError, match=r"options\.dim: None before, 4 now") as caught:
        check_same_run(state, tiny_recipe("options.dim=4", "seed=2"), "abc", tmp_path)
    assert "seed: 0 before, 2 now" in str(caught.value)
