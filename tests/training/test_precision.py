"""The number format follows the hardware, and a format that would be emulated is refused."""

from __future__ import annotations

import pytest
import torch

from medvlp.training.precision import choose_precision
from medvlp.training.recipe_errors import RecipeError


@pytest.mark.parametrize("unit", ["amx_bf16", "avx512_bf16", "bf16"])
def test_auto_takes_bfloat16_where_the_processor_has_units(monkeypatch: pytest.MonkeyPatch, unit: str) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": "Some CPU", "avx2": True, unit: True})
    for setting in ("auto", "bf16"):
        chosen = choose_precision(setting, "cpu")  # type: ignore[arg-type]
        assert chosen.fabric == "bf16-mixed"
        assert f"Some CPU has {unit}" in chosen.reason


def test_auto_takes_float32_where_bfloat16_would_be_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": "Old CPU", "avx512_f": True, "avx2": True})
    assert choose_precision("auto", "cpu") == ("32-true", "float32: Old CPU has no bfloat16 units")
    with pytest.raises(RecipeError, match=r"Old CPU has no bfloat16 units\. Take auto or 32"):
        choose_precision("bf16", "cpu")


@pytest.mark.parametrize(("has_units", "fabric"), [(True, "bf16-mixed"), (False, "32-true")])
def test_a_gpu_is_asked_without_emulation(monkeypatch: pytest.MonkeyPatch, has_units: bool, fabric: str) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Some GPU")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_units or including_emulation)
    assert choose_precision("auto", "cuda").fabric == fabric


def test_what_a_recipe_names_is_taken() -> None:
    assert choose_precision("32", "cpu").fabric == "32-true"
