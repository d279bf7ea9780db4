"""What the data sources are made of: their registry, tables, DICOM headers, and the last step to a `Manifest`.

Belongs here: what two sources share. May import: `io`, `reports`, `knowledge`, and `data.manifest`.
Begin with `registry.py`; `docs/adding-a-data-set.md` shows a whole source.
"""

from medvlp.data.indexing.assembly import assemble, box_cells, coded_states, find_file, find_table, listed_states
from medvlp.data.indexing.named_files import files_by_name
from medvlp.data.indexing.registry import SOURCES, SourceError, index_data_set, register_source

__all__ = [
    "SOURCES",
    "SourceError",
    "assemble",
    "box_cells",
    "coded_states",
    "files_by_name",
    "find_file",
    "find_table",
    "index_data_set",
    "listed_states",
    "register_source",
]
