"""Training curves as small multiples: a panel a method, a thin line a seed, a thick one for their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from medvlp.viz.panel import INK, MUTED, SERIES, Panel, figure, nice_ticks, shortened

_WIDTH, _HEIGHT, _GAP, _LEFT, _HEAD, _COLUMNS = 164.0, 108.0, 44.0, 48.0, 26.0, 4

Lines = Sequence[tuple[Sequence[float], Sequence[float]]]
"""Of each seed: where it was measured, and what was."""


def curve_panels(
    methods: Mapping[str, Lines],
    *,
    beside: str | None = None,
    axis: str = "AUROC",
    across: str = "step",
    one_scale: bool = True,
) -> str:
    """A figure that can hold twenty methods.

    Args:
        methods: name -> its lines; one without any is left out.
        beside: the method whose mean is drawn dashed in every panel, such as the baseline.
        axis, across: what the values are, and along what.
        one_scale: all panels have the same scale of values; losses of different methods have none in common.

    Returns:
        SVG for a page.
    """
    drawn = {name: [line for line in lines if len(line[0])] for name, lines in methods.items()}
    drawn = {name: lines for name, lines in drawn.items() if lines}
    every = [line for lines in drawn.values() for line in lines]
    x, scale = nice_ticks(0.0, max(float(place) for places, _ in every for place in places)), _scale(every)
    other = _mean(drawn[beside]) if beside in drawn else None
    parts: list[str] = []
    for position, (name, lines) in enumerate(drawn.items()):
        row, column = divmod(position, _COLUMNS)
        y = scale if one_scale else _scale(lines)
        top = _HEAD + row * (_HEIGHT + 56)
        panel = Panel(_LEFT + column * (_WIDTH + _GAP), top, _WIDTH, _HEIGHT, (x[0], x[-1]), (y[0], y[-1]))
        marks = [(v, f"{v:g}") for v in (x[0], x[-1])]
        panel.axes(marks, [(v, f"{v:g}" if column == 0 or not one_scale else "") for v in y])
        panel.text(panel.left, top - 8, shortened(name, _WIDTH + _GAP / 2), colour=INK, size=13, bold=True)
        if other is not None and name != beside:
            panel.line(*other, MUTED, width=1.4, dash="4 4")
        for line in lines:
            panel.line(*line, SERIES[0], width=0.9)
        places, values = _mean(lines)
        panel.line(places, values, SERIES[0], width=2.4)
        title = escape(f"{name}: {axis} {values[-1]:.3f} at {across} {places[-1]:g}" if len(places) else name)
        parts += [f"<g><title>{title}</title>", *panel.parts, "</g>"]
    columns, rows = min(_COLUMNS, len(drawn)), -(-len(drawn) // _COLUMNS)
    height = _HEAD + rows * (_HEIGHT + 56)
    foot = Panel(_LEFT, height, 0, 0)
    foot.text(_LEFT, height - 6, f"{axis} against {across}", colour=MUTED, size=13)
    return figure(_LEFT + columns * (_WIDTH + _GAP), height + 4, parts + foot.parts, f"{axis} against {across}")


def _scale(lines: Lines) -> list[float]:
    values = np.concatenate([np.asarray(y, float) for _, y in lines])
    return nice_ticks(float(values.min()), float(values.max()))


def _mean(lines: Lines) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean over seeds, from where the last begins to where the first ends, straight between what was measured."""
    places = np.unique(np.concatenate([np.asarray(x, float) for x, _ in lines]))
    first, last = max(min(x) for x, _ in lines), min(max(x) for x, _ in lines)
    places = places[(places >= first) & (places <= last)]
    return places, np.mean([np.interp(places, x, y) for x, y in lines], axis=0)
