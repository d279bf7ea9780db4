"""`Panel`: a pair of axes in SVG. Colors are CSS variables of the page, for its light and dark theme."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
from numpy.typing import ArrayLike

INK, MUTED, GRID = "var(--ink, #1b2430)", "var(--muted, #5d6a7a)", "var(--line, #d5dbe3)"
SERIES = tuple(
    f"var(--series-{i}, {color})" for i, color in enumerate(("#1d5fb4", "#c2560a", "#0b7d62", "#7b4bb3", "#5d6a7a"), 1)
)


@dataclass
class Panel:
    """One pair of axes inside a figure.

    Attributes:
        left, top, width, height: of the plotting area, in units of the figure.
        x, y: ranges of the data shown.
        parts: SVG elements, in the order of drawing.
    """

    left: float
    top: float
    width: float
    height: float
    x: tuple[float, float] = (0.0, 1.0)
    y: tuple[float, float] = (0.0, 1.0)
    parts: list[str] = field(default_factory=list)

    def points(self, xs: ArrayLike, ys: ArrayLike) -> str:
        """Data -> `x,y x,y ...` in units of the figure; points with a NaN are left out.

        Examples:
            >>> Panel(10, 20, 100, 50).points([0, 1], [0, 1])
            '10.0,70.0 110.0,20.0'
        """
        xs_, ys_ = np.asarray(xs, dtype=float), np.asarray(ys, dtype=float)
        across = self.left + (xs_ - self.x[0]) / (self.x[1] - self.x[0]) * self.width
        down = self.top + (self.y[1] - ys_) / (self.y[1] - self.y[0]) * self.height
        return " ".join(f"{a:.1f},{d:.1f}" for a, d in zip(across, down, strict=True) if np.isfinite(a + d))

    def axes(self, x_ticks: Iterable[tuple[float, str]] = (), y_ticks: Iterable[tuple[float, str]] = ()) -> None:
        """Draw grid lines at the ticks, their labels, and a frame."""
        right, bottom = self.left + self.width, self.top + self.height
        for value, name in x_ticks:
            at = self.points([value], [self.y[0]]).split(",")[0]
            self.parts.append(f'<line x1="{at}" x2="{at}" y1="{self.top}" y2="{bottom}" stroke="{GRID}"/>')
            self.text(float(at), bottom + 15, name, anchor="middle")
        for value, name in y_ticks:
            at = self.points([self.x[0]], [value]).split(",")[1]
            self.parts.append(f'<line x1="{self.left}" x2="{right}" y1="{at}" y2="{at}" stroke="{GRID}"/>')
            self.text(self.left - 7, float(at) + 4, name, anchor="end")
        self.parts.append(
            f'<rect x="{self.left}" y="{self.top}" width="{self.width}" height="{self.height}" fill="none" '
            f'stroke="{GRID}"/>'
        )

    def line(self, xs: ArrayLike, ys: ArrayLike, color: str, width: float = 2.0, dash: str = "") -> None:
        """Draw a line through the points."""
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<polyline points="{self.points(xs, ys)}" fill="none" stroke="{color}" stroke-width="{width}" '
            f'stroke-linejoin="round"{dashed}/>'
        )

    def band(self, xs: ArrayLike, low: ArrayLike, high: ArrayLike, color: str) -> None:
        """Fill the area between two lines, half transparent."""
        there, back = np.asarray(xs), np.asarray(xs)[::-1]
        ring = f"{self.points(there, high)} {self.points(back, np.asarray(low)[::-1])}"
        self.parts.append(f'<polygon points="{ring}" fill="{color}" fill-opacity="0.16"/>')

    def text(
        self,
        x: float,
        y: float,
        content: str,
        anchor: str = "start",
        color: str = MUTED,
        size: float = 12,
        bold: bool = False,
    ) -> None:
        """Draw text at a point of the figure (not of the data)."""
        weight = ' font-weight="600"' if bold else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}" font-size="{size}"{weight}>'
            f"{escape(content)}</text>"
        )


def figure(width: float, height: float, parts: Sequence[str], title: str) -> str:
    """The SVG element of some parts; `title` is its text for screen readers.

    Examples:
        >>> figure(10, 10, [], "empty")[:4]
        '<svg'
    """
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'aria-label="{escape(title, quote=True)}" font-family="system-ui, sans-serif" '
        f'style="max-width:{width:.0f}px">{"".join(parts)}</svg>'
    )


def legend(colors: Mapping[str, str], left: float, top: float) -> list[str]:
    """A legend in one line: name -> color."""
    panel = Panel(left, top, 0, 0)
    for name, color in colors.items():
        panel.parts.append(f'<rect x="{left:.1f}" y="{top - 9:.1f}" width="18" height="5" rx="2.5" fill="{color}"/>')
        panel.text(left + 24, top - 2, name, color=INK, size=13)
        left += 48 + 7.2 * len(name)
    return panel.parts


def shorten(content: str, width: float, size: float = 13) -> str:
    """A text cut to a width in units of the figure, by the usual width of a letter, with an ellipsis.

    Examples:
        >>> shorten("cardiomegaly", 60)
        'cardiom…'
    """
    fit = int(width / (0.57 * size))
    return content if len(content) <= fit else content[: fit - 1].rstrip() + "…"


def nice_ticks(low: float, high: float) -> list[float]:
    """About five round numbers that span the range.

    Examples:
        >>> nice_ticks(0.0, 9.0)
        [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    """
    span = max(high - low, 1e-9)
    power = 10.0 ** np.floor(np.log10(span / 4))
    step = next(float(m * power) for m in (1, 2, 2.5, 5, 10) if m * power >= span / 5)
    first, last = np.floor(low / step), np.ceil(high / step)
    return [round(float(i * step), 10) for i in np.arange(first, last + 1)]
