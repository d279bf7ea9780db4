"""`BestModel`: which validation was the best so far, and whether it is time to stop."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass


@dataclass
class BestModel:
    """Keeps the best value of the validation metric. Only a strictly better value counts as better.

    Attributes:
        larger_is_better: True for `auroc`, False for `loss`.
        patience: validations without a better value before `should_stop`; None: never.
        value, step: of the best validation; None before the first.
        waited: validations since.
    """

    larger_is_better: bool
    patience: int | None = None
    value: float | None = None
    step: int | None = None
    waited: int = 0

    def update(self, value: float, step: int) -> bool:
        """Take in a validation; True when it is the best so far. An undefined value (NaN) is never better."""
        better = not math.isnan(value) and (
            self.value is None or (value > self.value if self.larger_is_better else value < self.value)
        )
        if better:
            self.value, self.step, self.waited = value, step, 0
        else:
            self.waited += 1
        return better

    @property
    def should_stop(self) -> bool:
        """Whether `patience` validations in a row brought nothing better."""
        return self.patience is not None and self.waited >= self.patience

    def standing(self, step: int) -> str:
        """How the validation at `step`, the last taken in, stands among all, in words."""
        if self.value is None:
            return "none has had a value"
        return "best so far" if self.step == step else f"best {self.value:.4f} at step {self.step}"

    def state(self) -> dict[str, float | int | None]:
        """What a checkpoint keeps."""
        return {key: value for key, value in asdict(self).items() if key in ("value", "step", "waited")}

    def load(self, state: dict[str, float | int | None]) -> None:
        """Continue from `state`."""
        for key, value in state.items():
            setattr(self, key, value)
