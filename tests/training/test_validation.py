"""The validation AUROC against one computed by hand, and which rows and findings it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from medvlp.data import Store
from medvlp.models import ONE_RANK, Ranks
from medvlp.reports.states import FindingState
from medvlp.training.gather import AllRanks
from medvlp.training.recipe import Recipe
from medvlp.training.recipe_errors import RecipeError
from medvlp.training.validation import ValidationAuroc, evaluating, validation_rows

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
