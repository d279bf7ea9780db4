"""A chart of values with 95 % intervals: a dot and a bar for each row and model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import cycle

import numpy as np

from medvlp.metrics import Estimate
from medvlp.viz.panel import INK, MUTED, SERIES, Panel, figure, legend, shorten


def interval_figure(
    rows: Mapping[str, Mapping[str, Estimate]],
    *,
    x_label: str = "AUROC",
    chance: float | None = 0.5,
    models: Sequence[str] = (),
    title: str = "Values with 95 % intervals",
    emphasis: tuple[str, ...] = (),
) -> str:
    """A chart of estimates, a row for each finding.

    Args:
        rows: row (finding) -> model -> estimate; an undefined one is left out, an unknown interval
            has no bar.
        x_label: of the values.
        chance: where a dashed line is drawn; None draws none.
        models: the models in the order of their colors, for the same colors in several figures.
        title: text for screen readers.
        emphasis: rows in bold, such as the macro average.

    Returns:
        An SVG element.

    Examples:
        >>> interval_figure({"edema": {"clip": Estimate(0.8, 0.7, 0.9, 40)}})[:4]
        '<svg'
    """
    models = list(dict.fromkeys([*models, *(name for row in rows.values() for name in row)]))
    colors = dict(zip(models, cycle(SERIES), strict=False))
    step = 11.0 * max(2, len(models)) + 8
    known = [e for row in rows.values() for e in row.values() if np.isfinite(e.value)]
    bounds = [v for e in known for v in (e.low, e.high, e.value) if np.isfinite(v)]
    bounds += [] if chance is None else [chance]
    low = np.floor((min(bounds, default=0.0) - 0.01) * 10) / 10
    high = min(1.0, np.ceil((max(bounds, default=1.0) + 0.01) * 10) / 10)
    panel = Panel(210, 44, 590, step * len(rows), x=(low, max(high, low + 0.1)), y=(0, len(rows)))
    panel.axes([(float(v), f"{v:z.1f}") for v in np.arange(low, high + 0.05, 0.1)])
    if chance is not None:
        panel.line([chance, chance], [0, len(rows)], MUTED, width=1.2, dash="4 4")
    for position, (name, row) in enumerate(rows.items()):
        top = panel.top + position * step
        label = shorten(name, panel.left - 12)
        panel.text(panel.left - 12, top + step / 2 + 4, label, "end", INK, 13, bold=name in emphasis)
        for at, model in enumerate(models):
            if model in row and np.isfinite(row[model].value):
                down = top + step / 2 + (at - (len(models) - 1) / 2) * 11
                panel.parts.append(_whisker(panel, row[model], down, colors[model], f"{name}, {model}"))
    panel.text(panel.left + panel.width / 2, panel.top + panel.height + 36, x_label, "middle", MUTED, 13)
    parts = legend(colors, panel.left, 18) + panel.parts
    return figure(830, panel.top + panel.height + 48, parts, title)


def _whisker(panel: Panel, estimate: Estimate, down: float, color: str, name: str) -> str:
    def across(value: float) -> str:
        return panel.points([value], [panel.y[0]]).split(",")[0]

    bar = ""
    if np.isfinite([estimate.low, estimate.high]).all():
        bar = (
            f'<line x1="{across(estimate.low)}" x2="{across(estimate.high)}" y1="{down:.1f}" y2="{down:.1f}" '
            f'stroke="{color}" stroke-width="2.4" stroke-opacity="0.45" stroke-linecap="round"/>'
        )
    return (
        f"<g><title>{escape(name)}: {escape(str(estimate))}</title>{bar}"
        f'<circle cx="{across(estimate.value)}" cy="{down:.1f}" r="4" fill="{color}"/></g>'
    )
