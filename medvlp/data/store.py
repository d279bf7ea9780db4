"""`Store`: what `prepare` wrote once and training reads for ever. Nothing is decoded here; pixels are memory-mapped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medvlp.data.base_preprocess import Crop
from medvlp.data.image_kind import AnyPreprocess
from medvlp.data.manifest_columns import SPLITS
from medvlp.data.preprocess import Preprocess
from medvlp.data.report_table import WHOLE, ReportTable
from medvlp.data.store_layout import StoreError, StoreLayout, image_file, mask_file, report_file
from medvlp.errors import did_you_mean
from medvlp.knowledge import get_finding, load_findings
from medvlp.reports.states import FindingState

_OPEN_SHARDS = 256  # memory maps that are kept open, each holds a file descriptor


class Store:
    """A prepared data set.

    Attributes:
        path: its folder.
        table: pandas, one row an image that could be read: the manifest's columns without paths; `report` is the
            report's number (-1 for none); `height, width, spacing` of the original file, and `depth, thickness` of a
            volume.
        reports: the parsed reports, `reports[number]`.
        preprocess: what made the pixels: a `Preprocess` of radiographs, or a `VolumePreprocess` of CT volumes.
        mask_names: names of the masks, in the order of their axis.
        generated: made by a generator, not by a hospital.
        hash: of table, pixels' checksums and preprocessing.
        quarantined: how many images, masks and reports could not be read; `quarantine.csv` says which and why.

    Examples:
        >>> import pandas as pd, tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from medvlp.data import Manifest, Preprocess, prepare
        >>> folder = Path(tempfile.mkdtemp())
        >>> Image.new("L", (20, 30), 255).save(folder / "1.png")
        >>> ids = dict(patient_id=["7"], study_id=["a"], image_id=["1"], path=[str(folder / "1.png")])
        >>> manifest = Manifest(pd.DataFrame({**ids, "report": ["FINDINGS: Mild edema."]}))
        >>> store = prepare(manifest, folder / "store", Preprocess(size=32), workers=0)
        >>> store.images([0]).shape, store.states(["edema"]).tolist()
        ((1, 32, 32), [[1]])
    """

    def __init__(self, path: str | Path, size: int | str | None = None) -> None:
        self.path = Path(path)
        if not (self.path / "store.json").is_file():
            unfinished = (self.path / "plan.json").is_file()
            raise FileNotFoundError(
                f"{self.path} is an unfinished store; run the same `medvlp data prepare` again: it goes on from there"
                if unfinished
                else f"no store at {self.path}; `medvlp data prepare MANIFEST -o {self.path}` makes one"
            )
        summary = json.loads((self.path / "store.json").read_text())
        layout = StoreLayout.load(self.path)
        made = {p.name: p for p in layout.sizes}
        name = next(iter(made)) if size is None else str(size)
        if name not in made:
            raise StoreError(f"{self.path} holds images of {', '.join(made)} pixels, none of {name}")
        self.preprocess: AnyPreprocess = made[name]
        self.mask_names = layout.masks
        self.generated: bool = summary["generated"]
        self.hash: str = summary["hash"]
        self.quarantined: int = summary["quarantined"]
        self.table = pd.read_parquet(self.path / "table.parquet")
        self.reports = ReportTable([report_file(self.path, s) for s in range(layout.report_shards)])
        self._shard = self.table["shard"].to_numpy()
        self._slot = self.table["slot"].to_numpy()
        self._mask_slot = self.table["mask_slot"].to_numpy()
        self._mapped = lru_cache(_OPEN_SHARDS)(lambda path: np.asarray(np.load(path, mmap_mode="r")))

    @classmethod
    def open(cls, path: str | Path, size: int | str | None = None) -> Store:
        """Open a finished store, at one of its sizes, such as 224 or "240x480x480" (default: its first)."""
        return cls(path, size)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def labels(self) -> list[str]:
        """Ids of the findings that the manifest labels."""
        return [c for c in self.table if c in load_findings()]

    def rows(self, split: str | None = None, views: Sequence[str] | None = None) -> NDArray[np.int64]:
        """Positions of the images of a split (`train | validate | test`) and of some views, in the table's order.

        Raises:
            StoreError: no such split; or the split has images, and none of them is of these views: says which it has.
        """
        if split is not None and split not in SPLITS:
            raise StoreError(f'no split "{split}"; {did_you_mean(split, SPLITS)}')
        in_split = (self.table["split"] == split).to_numpy() if split is not None else np.ones(len(self), bool)
        if views is None:
            return np.flatnonzero(in_split)
        keep = in_split & self.table["view"].isin(list(views)).to_numpy()
        if in_split.any() and not keep.any():
            counts = self.table["view"][in_split].replace("", "unknown").value_counts()
            there = ", ".join(f"{view} {count}" for view, count in counts.items())
            part = f"the {split} split" if split else "it"
            raise StoreError(
                f"no rows to load from {self.path}: {part} has no {', '.join(views)} images, "
                f"its {int(in_split.sum())} are {there}: ask for these views or for all, or fill the column "
                "`view` of the manifest and prepare it again"
            )
        return np.flatnonzero(keep)

    @property
    def letterbox(self) -> Preprocess:
        """The preprocessing of a store of radiographs, for those who work on nothing else.

        Raises:
            StoreError: the store holds volumes.
        """
        if not isinstance(self.preprocess, Preprocess):
            raise StoreError(f"{self.path} holds CT volumes, and this works on radiographs; give a store of those")
        return self.preprocess

    def images(self, rows: Sequence[int] | NDArray[np.integer], crop: Crop = ()) -> NDArray[Any]:
        """Pixels of some rows, a copy: uint8 `[n, H, W]` of radiographs, int16 HU `[n, D, H, W]` of volumes.

        Args:
            rows: positions in the table.
            crop: a slice for each of the first axes, such as `np.s_[32:64, :, 10:40]`, without steps: of a volume
                only the blocks that it touches are read.
        """
        rows = np.asarray(rows)
        size = self.preprocess
        if len(crop) > len(size.shape):
            raise ValueError(f"a crop is at most {len(size.shape)} slices; got {tuple(crop)}")
        parts = [*crop, *[slice(None)] * (len(size.shape) - len(crop))]
        shape = [len(range(n)[part]) for n, part in zip(size.shape, parts, strict=True)]
        out = np.empty((len(rows), *shape), size.dtype)
        for i, (shard, slot) in enumerate(zip(self._shard[rows], self._slot[rows], strict=True)):
            out[i] = size.unpack(self._mapped(image_file(self.path, size.name, shard))[slot], crop)
        return out

    @property
    def has_masks(self) -> NDArray[np.bool_]:
        """For each row whether any mask was drawn on it, `[N]`."""
        return self._mask_slot >= 0

    def masks(self, rows: Sequence[int] | NDArray[np.integer]) -> NDArray[np.uint8]:
        """Masks of some rows, in `mask_names` order: uint8 `[n, K, (D,) H, W]` of 0 and 1; 255 where none was drawn."""
        rows = np.asarray(rows)
        size = self.preprocess
        out = np.full((len(rows), len(self.mask_names), *size.shape), 255, np.uint8)
        for i in np.flatnonzero(self.has_masks[rows]):
            path = mask_file(self.path, size.name, self._shard[rows[i]])
            out[i] = self._mapped(path)[self._mask_slot[rows[i]]]
        return out

    def states(self, findings: Sequence[str], origin: Literal["table", "report", "both"] = "both") -> NDArray[np.int8]:
        """The state of each finding, `[N, F]` in the codes of `FindingState`.

        Args:
            findings: ids of the knowledge base, any of them, whether the manifest labels them or not.
            origin: `table`: the manifest's label columns alone; `report`: the parsed reports alone, with the hierarchy
                of findings; `both`: the label columns of the row's data set where it has the column, else the report.

        Raises:
            UnknownNameError: a finding that nobody knows; names the nearest.
        """
        for finding in findings:
            get_finding(finding)
        from_reports = self._report_states(findings)
        if origin == "report":
            return from_reports
        states = np.full((len(self), len(findings)), FindingState.UNMENTIONED, np.int8)
        sources, _ = pd.factorize(self.table["source"])
        for f, finding in enumerate(findings):
            labeled = np.zeros(len(self), bool)
            if finding in self.table:
                column = self.table[finding].to_numpy()
                has = np.bincount(sources, column != FindingState.UNMENTIONED) > 0  # data sets that label it at all
                labeled = has[sources]
                states[labeled, f] = column[labeled]
            if origin == "both":
                states[~labeled, f] = from_reports[~labeled, f]
        return states

    def _report_states(self, findings: Sequence[str]) -> NDArray[np.int8]:
        numbers = self.table["report"].to_numpy()
        states = np.full((len(self), len(findings)), FindingState.UNMENTIONED, np.int8)
        states[numbers >= 0] = self.report_states(findings)[numbers[numbers >= 0]]
        return states

    def report_states(self, findings: Sequence[str]) -> NDArray[np.int8]:
        """What each distinct report says of each finding, `[R, F]`."""
        states = np.full((len(self.reports), len(findings)), FindingState.UNMENTIONED, np.int8)
        flat = self._flat_states
        column = pd.Index(list(findings)).get_indexer(flat["finding"])
        keep = (column >= 0) & (flat["sentence"] == WHOLE)
        states[flat["report"][keep], column[keep]] = flat["state"][keep]
        return states

    @cached_property
    def _flat_states(self) -> dict[str, np.ndarray]:
        return self.reports.flat("states")
