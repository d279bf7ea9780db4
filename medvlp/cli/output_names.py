"""Names of what is written for many input files: the tree of the inputs again, and no two the same."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path


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
