"""A hook of mkdocs: a method without a page gets one from its docstring, and a row in the list of methods."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

from medvlp.methods import METHODS, Method

DOCS = Path(__file__).parent
_HEAD = "| **Others** | | | | | |"
_LAST = "\n## Auxiliary losses"


def generated_pages() -> dict[str, str]:
    """Path below docs/ -> Markdown, for methods that have no page there."""
    new = [name for name in METHODS.names() if not (DOCS / f"methods/{name}.md").is_file()]
    return {f"methods/{name}.md": _page(name, METHODS.get(name)) for name in new}


def with_new_methods(index: str) -> str:
    """The list of methods with a row for each one that it lacks."""
    new = [name for name in METHODS.names() if f"| [{name}](" not in index]
    if not new:
        return index
    rows = [_HEAD, *(_row(name, METHODS.get(name)) for name in new)]
    before, heading, after = index.partition(_LAST)
    return f"{before.rstrip()}\n" + "\n".join(rows) + f"\n{heading}{after}"


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages."""
    from mkdocs.structure.files import File, InclusionLevel

    for path, text in generated_pages().items():
        files.append(File.generated(config, path, content=text, inclusion=InclusionLevel.NOT_IN_NAV))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Add the generated rows."""
    return with_new_methods(markdown) if page.file.src_uri == "methods/index.md" else markdown


def _docstring(method: type[Method]) -> str:
    return inspect.getdoc(sys.modules[method.__module__]) or inspect.getdoc(method) or ""


def _row(name: str, method: type[Method]) -> str:
    first = _docstring(method).partition("\n")[0].rstrip(".")
    fields = ", ".join(f"`{field}`" for field in sorted(method.required_fields))
    return f"| [{name}]({name}.md) | {first} | | {fields} | | see its page |"


def _page(name: str, method: type[Method]) -> str:
    defaults = {key: field.get_default(call_default_factory=True) for key, field in method.Options.model_fields.items()}
    rows = "\n".join(f"| `{key}` | `{default}` |" for key, default in defaults.items())
    text = _docstring(method)
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("    "):  # equations
            text = text.replace(paragraph, f"```text\n{paragraph}\n```")
    file = f"`{method.__module__.replace('.', '/')}.py`"
    return f"# {name}\n\n{text}\n\nFile: {file}.\n\n## Options\n\n| option | default |\n|---|---|\n{rows}\n"
