"""The rows of a store whose report has words that a model reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medvlp.data.report_text import read_sentences
from medvlp.data.store import Store


def rows_with_report(
    store: Store, split: str | None, views: Sequence[str] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.object_]]:
    """Rows of a split and of some views that have a readable report.

    Returns:
        Rows `[N]`; the number of each one's report `[N]`; the text of every report of the store `[R]`.
    """
    rows = store.rows(split, views)
    numbers = store.table["report"].to_numpy()[rows]
    rows, numbers = rows[numbers >= 0], numbers[numbers >= 0]
    texts = np.array(read_sentences(store.reports).texts(len(store.reports)), dtype=object)
    readable = texts[numbers] != ""
    return rows[readable], numbers[readable], texts
