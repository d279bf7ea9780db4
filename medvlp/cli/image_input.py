"""What verbs that read images share: files and findings as they are typed, names of what is written, how they end."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    import pandas as pd

_NAMED = 10  # files that could not be read, and remarks


def images_below(files: Sequence[Path]) -> list[Path]:
    """Files as given, folders walked; see `find_images`.

    Raises:
        TaskError: there is none.
    """
    from medvlp.io.walk import find_images
    from medvlp.tasks.admission import TaskError

    if found := find_images(files).files:
        return found
    raise TaskError(f"no image in {', '.join(map(str, files))}")


def end_with_status(table: pd.DataFrame, verb: str, where: str = "") -> None:
    """Say how many rows of a table (`path`, `status`, `remark`, ...) are `ok` and which are not, and end with status 0,
    or 1 where some are not."""
    failed = table[table["status"] != "ok"]
    refused = int(failed["status"].str.startswith("refused").sum())
    counts = f"{len(table) - len(failed)} files {verb}, {len(failed) - refused} could not be read"
    typer.echo(counts + (f", {refused} refused (--force takes them)" if refused else "") + where, err=True)
    if "remark" in table:
        for remark, count in table["remark"][table["remark"] != ""].value_counts().head(_NAMED).items():
            typer.echo(f"  {count} with the remark: {remark}", err=True)
    for path, status in zip(failed["path"].head(_NAMED), failed["status"].head(_NAMED), strict=True):
        typer.echo(f"  {path}: {status}", err=True)
    if len(failed) > _NAMED:
        typer.echo(f"  ... and {len(failed) - _NAMED} more; the column `status` has the reasons", err=True)
    raise typer.Exit(1 if len(failed) else 0)


def finding_list(text: str | None) -> tuple[str, ...] | None:
    """`edema,mass` or the name or file of a label space -> ids; None stays None.

    Raises:
        UnknownNameError: a finding that nobody knows; names the nearest.
        KnowledgeError: a label space file that does not hold what it should.
    """
    if text is None:
        return None
    from medvlp.knowledge import LabelSpace, get_finding

    if text in LabelSpace.names() or text.endswith((".yaml", ".yml")):
        return LabelSpace.load(text).findings
    return tuple(get_finding(part.strip()).id for part in text.split(",") if part.strip())


def output_names(files: Sequence[Path], suffixes: frozenset[str]) -> list[Path]:
    """A relative path for each file, without its suffix, below the folder that all files share.

    Where two files differ in the suffix alone, both keep it. Only `suffixes` are taken off: the last part of a DICOM
    UID that serves as a name is none.
    """
    whole = [Path(os.path.abspath(f)) for f in files]
    root = os.path.commonpath([f.parent for f in whole]) if whole else ""
    relative = [f.relative_to(root) for f in whole]
    short = [f.with_suffix("") if f.suffix.lower() in suffixes else f for f in relative]
    count = Counter(short)
    return [name if count[name] == 1 else full for name, full in zip(short, relative, strict=True)]
