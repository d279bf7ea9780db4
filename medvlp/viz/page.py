"""`Page`: one self-contained HTML file of results. Nothing is fetched when it is opened, and no script runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray

from medvlp.metrics.intervals import Estimate
from medvlp.viz.picture import picture_uri

Cell = str | int | float | Estimate | None


@dataclass(frozen=True)
class Picture:
    """One picture of a gallery.

    Attributes:
        pixels: uint8 `[H, W]` or `[H, W, 3]`.
        alt: what it shows, for those who do not see it.
        caption: below it; plain text.
        value: a figure shown at the right of the caption, such as `Dice 0.96`.
    """

    pixels: NDArray[np.uint8]
    alt: str
    caption: str = ""
    value: str = ""


@dataclass(frozen=True)
class Quote:
    """A text beside a picture: a report that was found, with a heading such as its score and a line of tags."""

    text: str
    heading: str = ""
    tags: Sequence[str] = ()


@dataclass
class Page:
    """Sections of text, tables, figures and galleries, written as one file.

        page = Page("Zero-shot labels", notice=model.notice)
        page.section("Result")
        page.text("Held-out patients; 95 % intervals from resampling patients.")
        page.table(["finding", "AUROC"], [["edema", estimate]])
        page.write("index.html")

    All words are plain text and are escaped here; pieces between backquotes are shown as code.

    Attributes:
        title, subtitle: of the page.
        notice: what must be seen whatever part of the page is in sight, such as that a model was trained on generated
            data; None shows no banner.
    """

    title: str
    subtitle: str = ""
    notice: str | None = None
    _sections: list[tuple[str, list[str]]] = field(default_factory=list)

    def section(self, heading: str) -> None:
        """Begin a section; what is added next belongs to it, and its heading stands in the contents."""
        self._sections.append((heading, []))

    def text(self, words: str) -> None:
        """A paragraph."""
        self._add(f"<p>{_inline(words)}</p>")

    def steps(self, lines: Sequence[str]) -> None:
        """A list."""
        self._add("<ul>" + "".join(f"<li>{_inline(line)}</li>" for line in lines) + "</ul>")

    def command(self, words: str) -> None:
        """A command line that the reader can copy."""
        self._add(f"<pre><code>{escape(words)}</code></pre>")

    def facts(self, values: Mapping[str, Cell]) -> None:
        """Key figures in a row: name -> value."""
        tiles = "".join(f"<div><dt>{escape(name)}</dt><dd>{_cell(v)}</dd></div>" for name, v in values.items())
        self._add(f'<dl class="facts">{tiles}</dl>')

    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[Cell]],
        caption: str = "",
        emphasis: Sequence[int] = (),
        digits: int = 2,
    ) -> None:
        """A table; the first column names the rows, estimates show their interval.

        Args:
            columns: headings.
            rows: cells; None is shown as a dash.
            caption: above the table.
            emphasis: indices of rows that are set off, such as the macro average.
            digits: of estimates, behind the point.
        """
        wrong = [i for i, row in enumerate(rows) if len(row) != len(columns)]
        if wrong:
            raise ValueError(f"{len(columns)} columns, but row {wrong[0]} has {len(rows[wrong[0]])} cells")
        head = "".join(f'<th scope="col">{_inline(c)}</th>' for c in columns)
        body = "".join(
            f"<tr{' class=emphasis' if i in emphasis else ''}>"
            + f'<th scope="row">{_cell(row[0])}</th>'
            + "".join(f"<td{_align(c)}>{_cell(c, digits)}</td>" for c in row[1:])
            + "</tr>"
            for i, row in enumerate(rows)
        )
        title = f"<caption>{_inline(caption)}</caption>" if caption else ""
        self._add(
            f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption or columns[0], quote=True)}">'
            f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )

    def figure(self, svg: str, caption: str) -> None:
        """A chart of `medvlp.viz` (SVG) with its caption."""
        self._add(f'<figure class="chart">{svg}<figcaption>{_inline(caption)}</figcaption></figure>')

    def gallery(self, pictures: Sequence[Picture], caption: str = "") -> None:
        """Pictures in a grid that fits the width of the window."""
        cells = "".join(_picture(p) for p in pictures)
        title = f"<figcaption>{_inline(caption)}</figcaption>" if caption else ""
        self._add(f'<figure><div class="gallery">{cells}</div>{title}</figure>')

    def beside(self, picture: Picture, quotes: Sequence[Quote]) -> None:
        """A picture with texts at its side: a query image and the reports that were found for it."""
        texts = "".join(
            "<blockquote>"
            + (f"<header>{escape(q.heading)}</header>" if q.heading else "")
            + f"<p>{escape(q.text)}</p>"
            + "".join(f'<span class="tag">{escape(tag)}</span>' for tag in q.tags)
            + "</blockquote>"
            for q in quotes
        )
        self._add(f'<div class="beside">{_picture(picture)}<div>{texts}</div></div>')

    def note(self, words: str) -> None:
        """A remark that should not be overlooked: a limit, a doubt."""
        self._add(f'<p class="note" role="note">{_inline(words)}</p>')

    def html(self) -> str:
        """The page as text."""
        folder = files("medvlp.viz")
        anchors = [f"s{i + 1}" for i in range(len(self._sections))]
        headings = [heading for heading, _ in self._sections]
        contents = "".join(f'<li><a href="#{a}">{escape(h)}</a></li>' for a, h in zip(anchors, headings, strict=True))
        body = "".join(
            f'<section id="{a}" aria-labelledby="{a}-h"><h2 id="{a}-h">{escape(h)}</h2>{"".join(parts)}</section>'
            for a, (h, parts) in zip(anchors, self._sections, strict=True)
        )
        return Template((folder / "page.html").read_text(encoding="utf-8")).substitute(
            title=escape(self.title),
            subtitle=_inline(self.subtitle),
            style=(folder / "page.css").read_text(encoding="utf-8"),
            banner=f'<p class="banner" role="note">{escape(self.notice)}</p>' if self.notice else "",
            contents=contents,
            body=body,
        )

    def write(self, path: str | Path) -> Path:
        """Write the page; folders on the way are made."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.html(), encoding="utf-8")
        return path

    def _add(self, part: str) -> None:
        if not self._sections:
            raise ValueError("begin a section before adding to it: page.section('...')")
        self._sections[-1][1].append(part)


def _inline(words: str) -> str:
    """Escape; every second piece between backquotes is code."""
    pieces = escape(words).split("`")
    return "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(pieces))


def _cell(value: Cell, digits: int = 2) -> str:
    if isinstance(value, Estimate) and not math.isnan(value.value):
        number, interval = value.text(digits).split(" ", 1)
        return f'{number} <span class="interval">{interval}</span>'
    if value is None or isinstance(value, Estimate) or (isinstance(value, float) and math.isnan(value)):
        return '<span class="interval" title="undefined">–</span>'
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3g}" if isinstance(value, float) else _inline(value)


def _align(value: Cell) -> str:
    return "" if isinstance(value, str) else ' class="number"'


def _picture(picture: Picture) -> str:
    value = f'<span class="value">{escape(picture.value)}</span>' if picture.value else ""
    words = f"<figcaption>{_inline(picture.caption)}{value}</figcaption>" if picture.caption or value else ""
    return (
        f'<figure class="picture"><img alt="{escape(picture.alt, quote=True)}" loading="lazy" '
        f'src="{picture_uri(picture.pixels)}">{words}</figure>'
    )
