"""The validation AUROC against one computed by hand, its rows and findings, and when a value is the best."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from medvlp.data import Store
from medvlp.methods.pretraining_objective import PretrainingObjective
from medvlp.models import ONE_RANK, Ranks
from medvlp.reports.states import FindingState
from medvlp.training.gather import AllRanks
from medvlp.training.pretraining import pretrain
from medvlp.training.recipe import Recipe
from medvlp.training.recipe_errors import RecipeError
from medvlp.training.validation import BestModel, ValidationAuroc, evaluating, validation_rows

FINDINGS = ("pleural_effusion", "pneumothorax", "cardiomegaly")


class BrightSquare(nn.Module):
    """Knows where the first finding is drawn; guesses 0.5 for the others."""

    ranks: Ranks = ONE_RANK

    def score(self, images: Tensor, findings: Sequence[str]) -> Tensor:
        assert not self.training
        assert not torch.is_grad_enabled()
        scores = torch.full((len(images), len(findings)), 0.5)
        scores[:, 0] = images[:, 0, 4:14, :9].mean((1, 2))
        return scores


@pytest.fixture
def fabric() -> Fabric:
    return Fabric(accelerator="cpu", devices=1)


def test_auroc_by_finding_and_macro(tiny_store: Store, fabric: Fabric) -> None:
    method = BrightSquare().train()
    values = ValidationAuroc(tiny_store, tiny_store.rows("validate"), FINDINGS, "negative", 7)(method, fabric)  # type: ignore[arg-type]
    assert values == pytest.approx(
        {
            "auroc": (1 + 0.5 + 0.5) / 3,
            "auroc/pleural_effusion": 1.0,
            "auroc/pneumothorax": 0.5,
            "auroc/cardiomegaly": 0.5,
        }
    )
    assert method.training


def test_unmentioned_findings_count_as_asked(tiny_store: Store) -> None:
    rows = tiny_store.rows("validate")
    as_negative = ValidationAuroc(tiny_store, rows, FINDINGS, "negative", 8)
    assert as_negative.known.all()
    with pytest.raises(RecipeError, match="no finding has both"):
        ValidationAuroc(tiny_store, rows, ("edema",), "ignore", 8)


def test_only_what_helps_is_advised(tiny_store: Store) -> None:
    rows = tiny_store.rows("validate")

    def advice(rows: NDArray[np.int64], findings: tuple[str, ...], unmentioned: str) -> str:
        with pytest.raises(RecipeError) as refused:
            ValidationAuroc(tiny_store, rows, findings, unmentioned, 8)
        return str(refused.value).partition("Use ")[2]

    both = "training.metric=loss or another data.validate_split."
    edema = ("edema",)  # which no report of these mentions
    assert advice(rows, edema, "ignore") == advice(rows, edema, "negative") == both
    present = rows[tiny_store.states(FINDINGS)[rows, 0] == FindingState.PRESENT]
    assert advice(present, FINDINGS[:1], "negative") == both

    class HalfSilent:
        """Of the rows on which it is present, the first says so, and the others say nothing."""

        @staticmethod
        def states(findings: Sequence[str]) -> NDArray[np.int8]:
            return np.array([[FindingState.PRESENT], [FindingState.UNMENTIONED]], np.int8)

    with pytest.raises(RecipeError, match=r"Use training\.unmentioned=negative, training\.metric=loss or"):
        ValidationAuroc(HalfSilent(), np.arange(2), FINDINGS[:1], "ignore", 8)  # type: ignore[arg-type]
    assert ValidationAuroc(HalfSilent(), np.arange(2), FINDINGS[:1], "negative", 8).defined == [0]  # type: ignore[arg-type]


def test_rows_are_few_and_always_the_same(tiny_recipe: Callable[..., Recipe], tiny_store: Store) -> None:
    assert np.array_equal(validation_rows(tiny_store, tiny_recipe()), tiny_store.rows("validate"))
    some = validation_rows(tiny_store, tiny_recipe("data.validate_images=4"))
    assert some.tolist() == [32, 37, 42, 47]
    assert len(validation_rows(tiny_store, tiny_recipe("data.validate_split=test"))) == 0


def test_a_loss_that_cannot_rank_models_is_refused_before_the_first_step(
    tiny_recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe("method=clip", "training.metric=loss")
    monkeypatch.setattr(PretrainingObjective, "losses", lambda self, batch: {"bce": torch.tensor(0.7)})
    with pytest.raises(RecipeError, match=r"same for every model.*texts differ.*training\.metric=auroc"):
        pretrain(recipe, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(PretrainingObjective, "losses", lambda self, batch: {"bce": torch.tensor(torch.nan)})
    with pytest.raises(RecipeError, match="it is nan on the validation images"):
        pretrain(recipe, tmp_path / "run", progress=False)


def test_evaluating_restores_the_mode_after_an_error() -> None:
    method = BrightSquare().train()
    method.ranks = elsewhere = AllRanks()

    def fail() -> None:
        with evaluating(method):  # type: ignore[arg-type]
            assert method.ranks is ONE_RANK  # every rank validates by itself
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail()
    assert method.training
    assert method.ranks is elsewhere


@pytest.mark.parametrize(("larger", "values"), [(True, [0.5, 0.7, 0.7, 0.6]), (False, [0.5, 0.3, 0.3, 0.4])])
def test_best_value_and_patience(larger: bool, values: list[float]) -> None:
    best = BestModel(larger, patience=2)
    outcomes = [(best.update(value, step), best.should_stop) for step, value in enumerate(values)]
    assert outcomes == [(True, False), (True, False), (False, False), (False, True)]
    assert (best.value, best.step) == (values[1], 1)


def test_an_undefined_value_is_never_better() -> None:
    best = BestModel(True, patience=None)
    assert not best.update(math.nan, 0)
    assert best.update(0.1, 1)
    assert not best.should_stop


def test_continues_with_what_was_waited() -> None:
    best = BestModel(True, patience=2)
    best.update(0.9, 1)
    best.update(0.8, 2)
    again = BestModel(True, patience=2)
    again.load(best.state())
    again.update(0.85, 3)
    assert again.should_stop


def test_where_a_validation_stands_is_said_with_few_digits() -> None:
    best = BestModel(False)
    best.update(math.nan, 2)
    assert best.standing(2) == "none has had a value"
    best.update(0.43749999999999994, 4)
    assert best.standing(4) == "best so far"
    best.update(0.5, 6)
    assert best.standing(6) == "best 0.4375 at step 4"
