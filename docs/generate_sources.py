"""A hook of mkdocs: the page of data lists every registered source, as the docstring of its file describes it."""

from __future__ import annotations

import inspect
import sys
from typing import Any

from medvlp.data import SOURCES

MARK = "<!-- data sources -->"


def source_list() -> str:
    """Markdown: each source's name, what it is, its layout, and the defects that it handles."""
    return "\n".join(_entry(name) for name in SOURCES)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put the list where the page has its mark."""
    return markdown.replace(MARK, source_list())


def _entry(name: str) -> str:
    function = SOURCES.get(name)
    text = inspect.getdoc(sys.modules[function.__module__]) or inspect.getdoc(function) or ""
    first, *others = text.split("\n\n")
    paragraphs = "".join(f"\n    {' '.join(paragraph.split())}\n" for paragraph in others)
    return f"- **`{name}`** {' '.join(first.split())}\n{paragraphs}"
