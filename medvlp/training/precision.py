"""`choose_precision`: the number format of a run, from what the device has units for."""

from __future__ import annotations

import platform
from typing import Literal, NamedTuple

import torch

from medvlp.training.recipe_errors import RecipeError

Precision = Literal["auto", "bf16", "32"]


class ChosenPrecision(NamedTuple):
    """`fabric`: the format as Lightning Fabric calls it; `reason`: why, for the log and the model's card."""

    fabric: Literal["bf16-mixed", "32-true"]
    reason: str


def choose_precision(setting: Precision, device_type: str) -> ChosenPrecision:
    """The format of a run on a device.

    `auto` takes bfloat16 where the device computes it, and float32 otherwise. Most processors emulate bfloat16: a
    training step then takes up to twice the time of float32, and saves nothing.

    Args:
        setting: `training.precision` of a recipe.
        device_type: `cpu`, `cuda`, `mps`, ...

    Raises:
        RecipeError: `bf16` on a device without units for it.

    Examples:
        >>> choose_precision("32", "cpu")
        ChosenPrecision(fabric='32-true', reason='float32, as training.precision says')
    """
    if setting == "32":
        return ChosenPrecision("32-true", "float32, as training.precision says")
    has_units, hardware = bfloat16_units(device_type)
    if has_units:
        return ChosenPrecision("bf16-mixed", f"bfloat16: {hardware}")
    if setting == "bf16":
        raise RecipeError(
            f"training.precision: bf16 would be emulated, and slower than float32: {hardware}. Take auto or 32."
        )
    return ChosenPrecision("32-true", f"float32: {hardware}")


def bfloat16_units(device_type: str) -> tuple[bool, str]:
    """Whether a device multiplies bfloat16 in hardware, and what it has, in words.

    That the operation exists says nothing: torch emulates it everywhere. So the hardware is asked.
    """
    if device_type == "cpu":
        has = torch.cpu.get_capabilities()
        units = [name for name in ("amx_bf16", "avx512_bf16", "bf16") if has.get(name)]
        name = has.get("cpu_name") or platform.processor() or "this processor"
        return bool(units), f"{name} has {', '.join(units) if units else 'no bfloat16 units'}"
    if device_type == "cuda":
        name = torch.cuda.get_device_name()
        has_units = torch.cuda.is_bf16_supported(including_emulation=False)
        return has_units, f"{name} has {'' if has_units else 'no '}bfloat16 units"
    return False, f"{device_type} has no bfloat16 units that are known here"
