"""Figures of curves: ROC curves with their 95 % bands, and training curves of one run or of many methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import cycle

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medvlp.metrics import Estimate
from medvlp.viz.panel import GRID, INK, MUTED, SERIES, Panel, figure, legend, nice_ticks, shorten

_COLUMNS = 4
_ROC_SIDE, _ROC_GAP, _ROC_LEFT, _ROC_TOP = 168.0, 42.0, 44.0, 40.0
_WIDTH, _HEIGHT, _GAP, _LEFT, _TOP = 164.0, 108.0, 44.0, 48.0, 26.0

Lines = Sequence[tuple[Sequence[float], Sequence[float]]]
"""For each seed: the steps at which it was measured, and the values."""


@dataclass(frozen=True)
class RocCurve:
    """One model's ROC curve for one finding.

    Attributes:
        rates: false positive rates `[K]`.
        hits, low, high: true positive rate at each, and its 95 % interval, `[K]`.
        area: AUROC, printed in the panel.
    """

    rates: ArrayLike
    hits: ArrayLike
    low: ArrayLike
    high: ArrayLike
    area: Estimate


def roc_figure(
    panels: Mapping[str, Mapping[str, RocCurve]],
    *,
    models: Sequence[str] = (),
    title: str = "ROC curves with 95 % intervals",
) -> str:
    """A panel for each finding with a line for each model, as small multiples.

    Args:
        panels: finding -> model -> its curve. Only the first model has its band drawn, so that the others stay
            readable; the hover text of a panel (`<title>`) has the AUROC and interval of every model.
        models: the models in the order of their colors, for the same colors in several figures.
        title: text for screen readers.

    Returns:
        An SVG element.

    Examples:
        >>> curve = RocCurve([0, 1], [0, 1], [0, 1], [0, 1], Estimate(0.5, 0.4, 0.6, 40))
        >>> roc_figure({"edema": {"clip": curve}})[:4]
        '<svg'
    """
    models = list(dict.fromkeys([*models, *(name for curves in panels.values() for name in curves)]))
    colors = dict(zip(models, cycle(SERIES), strict=False))
    shown = {m: color for m, color in colors.items() if any(m in curves for curves in panels.values())}
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // _COLUMNS)
    width = _ROC_LEFT + columns * (_ROC_SIDE + _ROC_GAP)
    parts = legend(shown, _ROC_LEFT, 14)
    for position, (finding, curves) in enumerate(panels.items()):
        row, column = divmod(position, _COLUMNS)
        panel = Panel(
            _ROC_LEFT + column * (_ROC_SIDE + _ROC_GAP), _ROC_TOP + 24 + row * (_ROC_SIDE + 62), _ROC_SIDE, _ROC_SIDE
        )
        parts += _roc_panel(panel, finding, curves, shown, first=column == 0)
    height = _ROC_TOP + 24 + rows * (_ROC_SIDE + 62) - 30
    return figure(width, height, parts, title)


def _roc_panel(
    panel: Panel, finding: str, curves: Mapping[str, RocCurve], colors: Mapping[str, str], first: bool
) -> list[str]:
    ticks = [(0.0, "0"), (0.5, "0.5"), (1.0, "1")]
    panel.axes(ticks, [(v, name if first else "") for v, name in ticks])
    panel.text(panel.left, panel.top - 9, finding, color=INK, size=13, bold=True)
    panel.line([0, 1], [0, 1], GRID, width=1.2, dash="4 4")
    drawn = [m for m in colors if m in curves]
    for position, model in reversed(list(enumerate(drawn))):  # the first model lies on top
        curve, color = curves[model], colors[model]
        if position == 0:
            panel.band(curve.rates, curve.low, curve.high, color)
        panel.line(curve.rates, curve.hits, color, width=2.2 if position == 0 else 1.5)
        down = panel.top + panel.height - 9 - 15 * (len(drawn) - 1 - position)
        panel.text(panel.left + panel.width - 8, down, f"{curve.area.value:.2f}", "end", color, 12, bold=True)
    hover = "; ".join(f"{model} {curve.area}" for model, curve in curves.items())
    return [f"<g><title>{finding}: {hover}</title>", *panel.parts, "</g>"]


def training_figure(
    lines: Mapping[str, tuple[ArrayLike, ArrayLike]], *, y_label: str = "loss", title: str = "Training"
) -> str:
    """Lines over the steps of one training run: losses, or a validation metric.

    Args:
        lines: name -> (steps, values); values that are NaN leave a gap to the next point.
        y_label: of the values.
        title: text for screen readers.

    Returns:
        An SVG element.

    Examples:
        >>> training_figure({"loss": ([0, 10], [2.0, 1.0])})[:4]
        '<svg'
    """
    steps = np.concatenate([np.asarray(x, dtype=float) for x, _ in lines.values()])
    values = np.concatenate([np.asarray(y, dtype=float) for _, y in lines.values()])
    values = values[np.isfinite(values)]
    x = nice_ticks(0.0, float(steps.max(initial=1.0)))
    y = nice_ticks(float(values.min(initial=1.0)), float(values.max(initial=0.0)))
    panel = Panel(64, 40, 700, 260, x=(x[0], x[-1]), y=(y[0], y[-1]))
    panel.axes([(v, f"{v:g}") for v in x], [(v, f"{v:g}") for v in y])
    colors = dict(zip(lines, cycle(SERIES), strict=False))
    for name, (steps_, values_) in lines.items():
        panel.line(steps_, values_, colors[name])
    panel.text(panel.left + panel.width / 2, panel.top + panel.height + 34, "step", "middle", MUTED, 13)
    panel.text(panel.left, panel.top - 8, y_label, "start", MUTED, 13)
    return figure(800, 340, legend(colors, 160, 18) + panel.parts, title)


def training_panels(
    methods: Mapping[str, Lines],
    *,
    reference: str | None = None,
    y_label: str = "AUROC",
    x_label: str = "step",
    shared_y: bool = True,
) -> str:
    """A panel for each method, with a thin line for each seed and a thick one for their mean.

    Args:
        methods: name -> its lines; one without any is left out.
        reference: the method whose mean is drawn dashed in every panel, such as the baseline.
        x_label, y_label: of the axes.
        shared_y: all panels have the same scale; losses of different methods have none in common.

    Returns:
        An SVG element.

    Examples:
        >>> training_panels({"clip": [([10, 20], [0.6, 0.7]), ([10, 20], [0.5, 0.7])]})[:4]
        '<svg'
    """
    drawn = {name: [line for line in lines if len(line[0])] for name, lines in methods.items()}
    drawn = {name: lines for name, lines in drawn.items() if lines}
    every = [line for lines in drawn.values() for line in lines]
    x, scale = nice_ticks(0.0, max(float(step) for steps, _ in every for step in steps)), _scale(every)
    other = _mean(drawn[reference]) if reference in drawn else None
    parts: list[str] = []
    for position, (name, lines) in enumerate(drawn.items()):
        row, column = divmod(position, _COLUMNS)
        y = scale if shared_y else _scale(lines)
        top = _TOP + row * (_HEIGHT + 56)
        panel = Panel(_LEFT + column * (_WIDTH + _GAP), top, _WIDTH, _HEIGHT, (x[0], x[-1]), (y[0], y[-1]))
        marks = [(v, f"{v:g}") for v in (x[0], x[-1])]
        panel.axes(marks, [(v, f"{v:g}" if column == 0 or not shared_y else "") for v in y])
        panel.text(panel.left, top - 8, shorten(name, _WIDTH + _GAP / 2), color=INK, size=13, bold=True)
        if other is not None and name != reference:
            panel.line(*other, MUTED, width=1.4, dash="4 4")
        for line in lines:
            panel.line(*line, SERIES[0], width=0.9)
        steps, values = _mean(lines)
        panel.line(steps, values, SERIES[0], width=2.4)
        title = escape(f"{name}: {y_label} {values[-1]:.3f} at {x_label} {steps[-1]:g}" if len(steps) else name)
        parts += [f"<g><title>{title}</title>", *panel.parts, "</g>"]
    columns, rows = min(_COLUMNS, len(drawn)), -(-len(drawn) // _COLUMNS)
    height = _TOP + rows * (_HEIGHT + 56)
    foot = Panel(_LEFT, height, 0, 0)
    foot.text(_LEFT, height - 6, f"{y_label} against {x_label}", color=MUTED, size=13)
    return figure(_LEFT + columns * (_WIDTH + _GAP), height + 4, parts + foot.parts, f"{y_label} against {x_label}")


def _scale(lines: Lines) -> list[float]:
    values = np.concatenate([np.asarray(y, float) for _, y in lines])
    return nice_ticks(float(values.min()), float(values.max()))


def _mean(lines: Lines) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean over seeds where all of them have values, interpolated linearly between the measured steps."""
    steps = np.unique(np.concatenate([np.asarray(x, float) for x, _ in lines]))
    first, last = max(min(x) for x, _ in lines), min(max(x) for x, _ in lines)
    steps = steps[(steps >= first) & (steps <= last)]
    return steps, np.mean([np.interp(steps, x, y) for x, y in lines], axis=0)
