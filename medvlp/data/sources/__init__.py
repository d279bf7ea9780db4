"""Public data sets, one file each, which registers `manifest(root, ...) -> Manifest` under the data set's name.

Belongs here: whatever is peculiar to one data set. May import: `data.indexing`, `data.manifest` and the rooms before.
Begin with `nih_cxr.py`; its first lines say which layout it reads and which defects it handles, as in all of them.
"""
