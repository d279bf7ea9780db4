"""Training curves as small multiples: a panel a method, a thin line a seed, a thick one for their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from medvlp.viz.panel import INK, MUTED, SERIES, Panel, figure, nice_ticks

_WIDTH, _HEIGHT, _GAP, _LEFT, _HEAD, _COLUMNS = 168.0, 108.0, 34.0, 48.0, 26.0, 4

Lines = Sequence[tuple[Sequence[float], Sequence[float]]]
"""Of each seed: where it was measured, and what was."""


def curve_panels(
    methods: Mapping[str, Lines], *, beside: str | None = None, axis: str = "AUROC", across: str = "step"
) -> str:
    """A figure that can hold twenty methods, all panels with the same axes.

    Args:
        methods: name -> its lines; one without any is left out.
        beside: the method whose mean is drawn dashed in every panel, such as the baseline.
        axis, across: what the values are, and along what.

    Returns:
        SVG for a page.
    """
    drawn = {name: [line for line in lines if len(line[0])] for name, lines in methods.items()}
    drawn = {name: lines for name, lines in drawn.items() if lines}
    every = [line for lines in drawn.values() for line in lines]
    places = np.concatenate([np.asarray(x, float) for x, _ in every])
    values = np.concatenate([np.asarray(y, float) for _, y in every])
    x, y = nice_ticks(0.0, float(places.max())), nice_ticks(float(values.min()), float(values.max()))
    other = _mean(drawn[beside]) if beside in drawn else None
    parts: list[str] = []
    for position, (name, lines) in enumerate(drawn.items()):
        row, column = divmod(position, _COLUMNS)
        top = _HEAD + row * (_HEIGHT + 56)
        panel = Panel(_LEFT + column * (_WIDTH + _GAP), top, _WIDTH, _HEIGHT, (x[0], x[-1]), (y[0], y[-1]))
        marks = [(v, f"{v:g}") for v in (x[0], x[-1])]
        panel.axes(marks, [(v, f"{v:g}" if column == 0 else "") for v in y])
        panel.text(panel.left, top - 8, name, colour=INK, size=13, bold=True)
        if other is not None and name != beside:
            panel.line(*other, MUTED, width=1.4, dash="4 4")
        for line in lines:
            panel.line(*line, SERIES[0], width=0.9)
        mean = _mean(lines)
        panel.line(*mean, SERIES[0], width=2.4)
        title = escape(f"{name}: {axis} {mean[1][-1]:.3f} at {across} {mean[0][-1]:g}")
        parts += [f"<g><title>{title}</title>", *panel.parts, "</g>"]
    columns, rows = min(_COLUMNS, len(drawn)), -(-len(drawn) // _COLUMNS)
    height = _HEAD + rows * (_HEIGHT + 56)
    foot = Panel(_LEFT, height, 0, 0)
    foot.text(_LEFT, height - 6, f"{axis} against {across}", colour=MUTED, size=13)
    return figure(_LEFT + columns * (_WIDTH + _GAP), height + 4, parts + foot.parts, f"{axis} against {across}")


def _mean(lines: Lines) -> tuple[list[float], list[float]]:
    """The mean over seeds, at the places that all of them have."""
    shared = sorted(set.intersection(*({float(place) for place in x} for x, _ in lines)))
    if not shared:
        return list(lines[0][0]), list(lines[0][1])
    tables = [dict(zip(map(float, x), y, strict=True)) for x, y in lines]
    return shared, [float(np.mean([table[place] for table in tables])) for place in shared]
