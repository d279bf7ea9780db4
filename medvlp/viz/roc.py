"""ROC curves with their 95 % bands: a panel for each finding, a line for each model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

from numpy.typing import ArrayLike

from medvlp.metrics.intervals import Estimate
from medvlp.viz.panel import GRID, INK, SERIES, Panel, figure, legend

_SIDE, _GAP, _LEFT, _HEAD, _COLUMNS = 168.0, 42.0, 44.0, 40.0, 4


@dataclass(frozen=True)
class Curve:
    """One model's curve for one finding.

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
    panels: Mapping[str, Mapping[str, Curve]],
    *,
    models: Sequence[str] = (),
    title: str = "ROC curves with 95 % intervals",
) -> str:
    """Small multiples, read like a table.

    Args:
        panels: finding's name -> model's name -> its curve. Only the first model has its band drawn, so that the
            others stay readable; every model's AUROC and interval stand in the panel's `<title>` (the hover text).
        models: the models in the order of their colours, for the same colours in several figures.
        title: what a screen reader says.

    Returns:
        SVG for a page.
    """
    models = list(dict.fromkeys([*models, *(name for curves in panels.values() for name in curves)]))
    colours = dict(zip(models, cycle(SERIES), strict=False))
    shown = {m: colour for m, colour in colours.items() if any(m in curves for curves in panels.values())}
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // _COLUMNS)
    width = _LEFT + columns * (_SIDE + _GAP)
    parts = legend(shown, _LEFT, 14)
    for position, (finding, curves) in enumerate(panels.items()):
        row, column = divmod(position, _COLUMNS)
        panel = Panel(_LEFT + column * (_SIDE + _GAP), _HEAD + 24 + row * (_SIDE + 62), _SIDE, _SIDE)
        parts += _panel(panel, finding, curves, shown, first=column == 0)
    height = _HEAD + 24 + rows * (_SIDE + 62) - 30
    return figure(width, height, parts, title)


def _panel(
    panel: Panel, finding: str, curves: Mapping[str, Curve], colours: Mapping[str, str], first: bool
) -> list[str]:
    ticks = [(0.0, "0"), (0.5, "0.5"), (1.0, "1")]
    panel.axes(ticks, [(v, name if first else "") for v, name in ticks])
    panel.text(panel.left, panel.top - 9, finding, colour=INK, size=13, bold=True)
    panel.line([0, 1], [0, 1], GRID, width=1.2, dash="4 4")
    drawn = [m for m in colours if m in curves]
    for position, model in reversed(list(enumerate(drawn))):  # the first model lies on top
        curve, colour = curves[model], colours[model]
        if position == 0:
            panel.band(curve.rates, curve.low, curve.high, colour)
        panel.line(curve.rates, curve.hits, colour, width=2.2 if position == 0 else 1.5)
        down = panel.top + panel.height - 9 - 15 * (len(drawn) - 1 - position)
        panel.text(panel.left + panel.width - 8, down, f"{curve.area.value:.2f}", "end", colour, 12, bold=True)
    hover = "; ".join(f"{model} {curve.area}" for model, curve in curves.items())
    return [f"<g><title>{finding}: {hover}</title>", *panel.parts, "</g>"]
