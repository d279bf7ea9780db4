"""Rows of a store through a model: in their order, in single precision."""

import numpy as np
import torch

from medvlp.data import Store
from medvlp.tasks.inference import run_rows


def test_outputs_are_those_of_one_batch_to_the_last_bit(store: Store) -> None:
    rows = np.array([7, 3, 80, 3, 12])
    done = []
    got = run_rows(
        lambda images: 1000 + images[:, 0, 20:30],
        store,
        rows,
        torch.device("cpu"),
        batch_size=2,
        progress=lambda *counts: done.append(counts),
    )
    expected = 1000 + store.preprocess.normalize(torch.from_numpy(store.images(rows)))[:, 0, 20:30]
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, expected.numpy())
    assert done == [(2, 5), (4, 5), (5, 5)]
