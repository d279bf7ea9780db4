"""Lines over the steps of a training run: losses, or a validation metric."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle

import numpy as np
from numpy.typing import ArrayLike

from medvlp.viz.panel import MUTED, SERIES, Panel, figure, legend, nice_ticks


def training_figure(
    lines: Mapping[str, tuple[ArrayLike, ArrayLike]], *, axis: str = "loss", title: str = "Training"
) -> str:
    """A line chart.

    Args:
        lines: name -> (steps, values); values that are NaN leave a gap to the next point.
        axis: what the values are.
        title: what a screen reader says.

    Returns:
        SVG for a page.
    """
    steps = np.concatenate([np.asarray(x, dtype=float) for x, _ in lines.values()])
    values = np.concatenate([np.asarray(y, dtype=float) for _, y in lines.values()])
    values = values[np.isfinite(values)]
    x = nice_ticks(0.0, float(steps.max(initial=1.0)))
    y = nice_ticks(float(values.min(initial=1.0)), float(values.max(initial=0.0)))
    panel = Panel(64, 40, 700, 260, x=(x[0], x[-1]), y=(y[0], y[-1]))
    panel.axes([(v, f"{v:g}") for v in x], [(v, f"{v:g}") for v in y])
    colours = dict(zip(lines, cycle(SERIES), strict=False))
    for name, (steps_, values_) in lines.items():
        panel.line(steps_, values_, colours[name])
    panel.text(panel.left + panel.width / 2, panel.top + panel.height + 34, "step", "middle", MUTED, 13)
    panel.text(panel.left, panel.top - 8, axis, "start", MUTED, 13)
    return figure(800, 340, legend(colours, 160, 18) + panel.parts, title)
