"""`find_data_issues`: what may be wrong with a prepared data set, each issue with its rows. Nothing is changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medvlp.data.image_statistics import ImageStatistics, image_statistics
from medvlp.data.preprocess import Preprocess
from medvlp.data.store import Store
from medvlp.reports.states import FindingState

SAME_IMAGE = 34  # bits of 256 in which copies of an image may differ
CONSTANT = 2.0  # gray levels of standard deviation: nothing can be seen
INVERTED = -0.1  # correlation with the mean frontal chest
_SLACK = 1.0  # pixels that a box may reach over the edge by rounding
_FRONTAL_VIEWS = ("PA", "AP", "")


@dataclass(frozen=True, eq=False)
class DataIssue:
    """One thing to look at.

    Attributes:
        kind: `split | view | boxes | duplicate | constant | polarity | disagreement | report | quarantine`.
        message: what it is and what to do.
        rows: of the store's table, `[n]`, or `[n, 2]` for pairs of images.
    """

    kind: str
    message: str
    rows: NDArray[np.int64]


def find_data_issues(store: Store, progress: Callable[[int, int], None] | None = None) -> list[DataIssue]:
    """Look for leaks between splits, copies, empty and inverted images, and labels that contradict their report."""
    measured = image_statistics(store, progress)
    found = [
        *_shared_patients(store),
        *_views(store),
        *_boxes(store),
        *_duplicates(store, measured),
        *_pixels(store, measured),
        *_disagreements(store),
        *_reports(store),
    ]
    if store.quarantined:
        message = f"{store.quarantined} images, masks or reports could not be read; quarantine.csv says which and why"
        found.append(DataIssue("quarantine", message, np.empty(0, np.int64)))
    return found


def _shared_patients(store: Store) -> Iterator[DataIssue]:
    """Patients in two splits. A manifest refuses them, so this is for stores that were made in another way."""
    splits = store.table.groupby("patient_id")["split"].nunique()
    rows = np.flatnonzero(store.table["patient_id"].isin(splits.index[splits > 1]).to_numpy())
    if len(rows):
        yield DataIssue(
            "split", f"{int((splits > 1).sum())} patients stand in two splits: results would be too good", rows
        )


def _views(store: Store) -> Iterator[DataIssue]:
    """Splits of radiographs without a frontal view: a recipe that names views would drop all of their images."""
    if not isinstance(store.preprocess, Preprocess):
        return
    for split, views in store.table.groupby("split")["view"]:
        if not views.isin(["PA", "AP"]).any():
            counts = views.replace("", "unknown").value_counts()
            found = ", ".join(f"{view} {count}" for view, count in counts.items())
            message = f"no image of {split} has the view PA or AP ({found}): `data.views: [PA, AP]` drops all of them"
            yield DataIssue("view", message, views.index.to_numpy(np.int64))


def _boxes(store: Store) -> Iterator[DataIssue]:
    """Boxes that reach outside their image: they were drawn on a copy of another size."""
    if "boxes" not in store.table:
        return
    outside = []
    for row in np.flatnonzero((store.table["boxes"] != "").to_numpy()):
        height, width = store.table["height"].iloc[row], store.table["width"].iloc[row]
        corners = np.array([item["box"] for item in json.loads(store.table["boxes"].iloc[row])])
        farthest = np.array([width, height, width, height]) + _SLACK
        if (corners < -_SLACK).any() or (corners > farthest).any():
            outside.append(row)
    if outside:
        message = f"boxes of {len(outside)} images reach outside the image: they were drawn on files of another size"
        yield DataIssue("boxes", message, np.array(outside, np.int64))


def _duplicates(store: Store, measured: ImageStatistics) -> Iterator[DataIssue]:
    shown = np.flatnonzero(measured.spread >= CONSTANT)
    codes = [measured.hash[shown], *measured.trimmed[shown].transpose(1, 0, 2)]
    found = [duplicate_pairs(codes[0], SAME_IMAGE, np.ascontiguousarray(queries)) for queries in codes]
    pairs = shown[np.unique(np.concatenate(found), axis=0)]
    split, patient = store.table["split"].to_numpy(), store.table["patient_id"].to_numpy()
    first, second = pairs[:, 0], pairs[:, 1]
    leak = split[first] != split[second]
    other = ~leak & (patient[first] != patient[second])
    for chosen, words in (
        (leak, "pairs of the same image in two splits: drop one of each, or put both patients in one split"),
        (other, "pairs of the same image under two patients: the ids of one are wrong"),
        (~leak & ~other, "pairs of the same image of one patient: one of each can be dropped"),
    ):
        if chosen.any():
            yield DataIssue("duplicate", f"{int(chosen.sum())} {words}", pairs[chosen])


def duplicate_pairs(codes: NDArray[np.uint8], bits: int, queries: NDArray[np.uint8] | None = None) -> NDArray[np.int64]:
    """All pairs of rows that differ in at most so many bits: `[n, 2]`, first < second, each once.

    Args:
        codes: packed bits, `[N, bytes]`.
        bits: at most so many.
        queries: `[N, bytes]`, other codes of the same rows, which are compared with `codes`; None compares these with
            themselves.
    """
    import faiss

    if not len(codes):
        return np.empty((0, 2), np.int64)
    index = faiss.IndexBinaryFlat(codes.shape[1] * 8)
    index.add(codes)
    limits, _, neighbors = index.range_search(codes if queries is None else queries, bits + 1)  # less than the radius
    found = limits.astype(np.int64)
    rows = np.repeat(np.arange(len(codes)), found[1:] - found[:-1])
    pairs = np.sort(np.stack([rows, neighbors], axis=1), axis=1)
    return np.unique(pairs[pairs[:, 0] < pairs[:, 1]], axis=0)


def _pixels(store: Store, measured: ImageStatistics) -> Iterator[DataIssue]:
    constant = measured.spread < CONSTANT
    if constant.any():
        message = f"{int(constant.sum())} images are of one gray: look at the files, and drop them from the manifest"
        yield DataIssue("constant", message, np.flatnonzero(constant))
    frontal = store.table["view"].isin(_FRONTAL_VIEWS).to_numpy() & (store.table["modality"] != "CT").to_numpy()
    frontal &= isinstance(store.preprocess, Preprocess)
    inverted = frontal & ~constant & (measured.frontal < INVERTED)
    if inverted.any():
        message = f"{int(inverted.sum())} images look inverted (bone dark) or are no frontal chest: look at them"
        yield DataIssue("polarity", message, np.flatnonzero(inverted))


def disagreement_table(store: Store) -> pd.DataFrame:
    """For each labeled finding: in how many images both label and report are definite, and in how many they contradict.

    Columns `finding, both, label_present, label_absent`: the label says present and the report absent, and the
    reverse.
    """
    findings = store.labels
    labels, reports = store.states(findings, "table"), store.states(findings, "report")
    present, absent = FindingState.PRESENT, FindingState.ABSENT
    definite = np.isin(labels, [present, absent]) & np.isin(reports, [present, absent])
    return pd.DataFrame(
        {
            "finding": findings,
            "both": definite.sum(0),
            "label_present": ((labels == present) & (reports == absent)).sum(0),
            "label_absent": ((labels == absent) & (reports == present)).sum(0),
        }
    )


def _disagreements(store: Store) -> Iterator[DataIssue]:
    table = disagreement_table(store)
    for row in table.itertuples():
        wrong = row.label_present + row.label_absent
        if wrong:
            label, report = (store.states([row.finding], origin)[:, 0] for origin in ("table", "report"))
            rows = np.flatnonzero(((label == 1) & (report == 0)) | ((label == 0) & (report == 1)))
            message = (
                f"{row.finding}: label and report contradict in {wrong} of {row.both} images where both are definite"
            )
            yield DataIssue("disagreement", message, rows)


def _reports(store: Store) -> Iterator[DataIssue]:
    numbers = store.table["report"].to_numpy()
    mentions = np.bincount(store.reports.flat("mentions")["report"], minlength=len(store.reports))
    unread = np.flatnonzero((numbers >= 0) & (mentions[np.maximum(numbers, 0)] == 0)) if len(mentions) else numbers[:0]
    if len(unread):
        message = f"{len(unread)} images have a report in which no finding was recognized: read some of them"
        yield DataIssue("report", message, unread.astype(np.int64))
