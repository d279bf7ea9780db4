"""One pass gives what the evaluations get from their own passes, and the trunk runs once a batch."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from medvlp.data import Store
from medvlp.evaluation import Protocol, evaluate_grounding, evaluate_labels, evaluate_retrieval
from medvlp.evaluation.measured_run import measure_run
from medvlp.evaluation.model_outputs import predict_rows
from medvlp.knowledge import name_of
from medvlp.tasks import Model


def test_measured_in_one_pass_as_in_three(model: Model, store: Store) -> None:
    trained, runs = model.pretrained, []
    forward = trained.method.image_encoder.trunk.forward_intermediates
    trained.method.image_encoder.trunk.forward_intermediates = lambda *a, **k: (runs.append(1), forward(*a, **k))[1]
    frozen = next(trained.method.parameters()).requires_grad_(False)
    try:
        run = measure_run(trained, store, {}, Protocol(findings=trained.findings))
    finally:
        del trained.method.image_encoder.trunk.forward_intermediates
        frozen.requires_grad_(True)
    assert len(runs) == 1  # 30 images in one batch
    torch.testing.assert_close(run.scored.scores, evaluate_labels(trained, store, Protocol(resamples=1)).scores)
    assert run.retrieval is not None
    assert run.grounding is not None
    near = {"rtol": 1e-3, "atol": 1e-4}  # other batches, other rounding
    once = Protocol(resamples=1)
    pd.testing.assert_frame_equal(run.retrieval, evaluate_retrieval(trained, store, once).images, **near)
    pd.testing.assert_frame_equal(run.grounding, evaluate_grounding(trained, store, once).pairs, **near)
    assert run.parameters == sum(p.numel() for p in trained.method.parameters()) - frozen.numel()


def test_rows_are_found_by_their_number_and_others_are_refused(model: Model, store: Store) -> None:
    rows = store.rows("test")
    outputs = predict_rows(model.pretrained, store, rows, model.findings, [name_of("cardiomegaly")])
    assert outputs.maps["cardiomegaly"].shape[0] == len(rows)
    np.testing.assert_array_equal(outputs.at(rows[[4, 2]]), [4, 2])
    with pytest.raises(KeyError, match="not read"):
        outputs.at(np.array([rows.max() + 1]))
    with pytest.raises(KeyError, match="not read"):
        outputs.at(store.rows("train")[:1])
