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

from medvlp.metrics import Estimate
from medvlp.viz.images import image_uri

Cell = str | int | float | Estimate | None


@dataclass(frozen=True)
class GalleryImage:
    """One image of a gallery.

    Attributes:
        pixels: uint8 `[H, W]` or `[H, W, 3]`.
        alt: text for screen readers.
        caption: below it; plain text.
        value: shown at the right of the caption, such as `Dice 0.96`.
    """

    pixels: NDArray[np.uint8]
    alt: str
    caption: str = ""
    value: str = ""


@dataclass(frozen=True)
class Quote:
    """A text shown beside an image: a retrieved report, with a heading such as its score and a line of tags."""

    text: str
    heading: str = ""
    tags: Sequence[str] = ()


@dataclass
class Page:
    """Sections of text, tables, figures and galleries, written as one file.

    All text is plain and is escaped here; what stands between backquotes is shown as code.

    Attributes:
        title, subtitle: of the page.
        notice: a banner that stays in view, such as that a model was trained on generated data; None shows none.

    Examples:
        >>> page = Page("Zero-shot labels", notice="Trained on generated data.")
        >>> page.section("Result")
        >>> page.table(["finding", "AUROC"], [["edema", Estimate(0.91, 0.88, 0.94, n=40)]])
        >>> "0.91 <span class=" in page.html()
        True
    """

    title: str
    subtitle: str = ""
    notice: str | None = None
    _sections: list[tuple[str, list[str]]] = field(default_factory=list)

    def section(self, heading: str) -> None:
        """Begin a section; its heading is listed in the table of contents."""
        self._sections.append((heading, []))

    def text(self, content: str) -> None:
        """Add a paragraph."""
        self._add(f"<p>{_inline(content)}</p>")

    def bullets(self, lines: Sequence[str]) -> None:
        """Add a bullet list."""
        self._add("<ul>" + "".join(f"<li>{_inline(line)}</li>" for line in lines) + "</ul>")

    def command(self, content: str) -> None:
        """Add a command line that the reader can copy."""
        self._add(f"<pre><code>{escape(content)}</code></pre>")

    def facts(self, values: Mapping[str, Cell]) -> None:
        """Add key figures in a row: name -> value."""
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
        """Add a table; the first column names the rows, estimates show their interval.

        Args:
            columns: headings.
            rows: cells; None is shown as a dash.
            caption: above the table.
            emphasis: indices of highlighted rows, such as the macro average.
            digits: decimal places of estimates.

        Raises:
            ValueError: a row has another number of cells than there are columns.
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
        """Add a chart of `medvlp.viz` (SVG) with its caption."""
        self._add(f'<figure class="chart">{svg}<figcaption>{_inline(caption)}</figcaption></figure>')

    def gallery(self, images: Sequence[GalleryImage], caption: str = "") -> None:
        """Add images in a grid that fits the width of the window."""
        cells = "".join(_image(i) for i in images)
        title = f"<figcaption>{_inline(caption)}</figcaption>" if caption else ""
        self._add(f'<figure><div class="gallery">{cells}</div>{title}</figure>')

    def image_with_quotes(self, image: GalleryImage, quotes: Sequence[Quote]) -> None:
        """Add an image with texts at its side: a query image and the reports retrieved for it."""
        texts = "".join(
            "<blockquote>"
            + (f"<header>{escape(q.heading)}</header>" if q.heading else "")
            + f"<p>{escape(q.text)}</p>"
            + "".join(f'<span class="tag">{escape(tag)}</span>' for tag in q.tags)
            + "</blockquote>"
            for q in quotes
        )
        self._add(f'<div class="beside">{_image(image)}<div>{texts}</div></div>')

    def note(self, content: str) -> None:
        """Add a highlighted remark, such as a limitation."""
        self._add(f'<p class="note" role="note">{_inline(content)}</p>')

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
        """Write the page; missing parent folders are created."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.html(), encoding="utf-8")
        return path

    def _add(self, part: str) -> None:
        if not self._sections:
            raise ValueError("begin a section before adding to it: page.section('...')")
        self._sections[-1][1].append(part)


def _inline(content: str) -> str:
    """Escaped text; what stands between backquotes is code."""
    pieces = escape(content).split("`")
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


def _image(image: GalleryImage) -> str:
    value = f'<span class="value">{escape(image.value)}</span>' if image.value else ""
    content = f"<figcaption>{_inline(image.caption)}{value}</figcaption>" if image.caption or value else ""
    return (
        f'<figure class="picture"><img alt="{escape(image.alt, quote=True)}" loading="lazy" '
        f'src="{image_uri(image.pixels)}">{content}</figure>'
    )
