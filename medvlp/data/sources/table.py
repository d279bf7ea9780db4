"""A table of your own (CSV, TSV or parquet) whose rows name images, with whatever column names.

Layout: one file; its images lie where its cells say, from the table's folder, or anywhere below that folder under a
name that stands there once.

Known, and handled here: which column is what is guessed from names and cells, and said in a note; options settle it. A
table that nothing tells patients apart in is refused. Columns named as a finding, with 1, 0, u or nothing in their
cells (-1 counts as uncertain), are labels. Other columns are named in a note.
"""

from __future__ import annotations

from pathlib import Path

from medvlp.data.indexing import SourceError, register_source
from medvlp.data.indexing.user_table import is_manifest, read_user_table, user_manifest
from medvlp.data.manifest import Manifest
from medvlp.io.tables import read_table


@register_source("table")
def manifest(root: Path, images: str = "", **columns: str) -> Manifest:
    """Index the images that a table names.

    Args:
        root: the table.
        images: folder to look for them in; default the table's own.
        columns: names of columns, by what they are: path, patient, study, image, report, view, modality, laterality,
            split, age, sex. What is not given is guessed. `patient=file` makes each image a patient of its own.

    Raises:
        SourceError: no table, no such column, or nothing tells patients apart.
        ManifestError: cells that cannot be; each with its row and column.
    """
    root = Path(root).absolute()
    if root.is_dir():
        raise SourceError(f"{root} is a folder; give the table, or take the source `folder`")
    if not columns and is_manifest(read_table(root)):
        return Manifest.load(root)
    return user_manifest(read_user_table(root, Path(images).absolute() if images else root.parent, columns))
