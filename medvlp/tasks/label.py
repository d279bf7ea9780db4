"""Label files without annotations: one row a file, one probability a finding, and a status."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from medvlp.models import ImageFeatures
from medvlp.tasks.admission import Admission, untrained
from medvlp.tasks.image_files import ImageSource
from medvlp.tasks.inference import Progress, run_files
from medvlp.training.finetuning import FinetunedModel
from medvlp.training.model_folder import TrainedModel, with_notice


def label_files(
    model: TrainedModel | FinetunedModel,
    sources: Sequence[ImageSource],
    findings: Sequence[str] | None = None,
    *,
    admission: Admission | None = None,
    batch_size: int = 16,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Score files: by the method's own zero-shot path, or by a classification head.

    Args:
        model: of `load_model`, or a classification of `load_finetuned`.
        sources: files (DICOM, PNG, JPEG, TIFF), or images in memory.
        findings: ids of the knowledge base; None takes those the model was trained on.
        admission: which images are taken; of the model unless given.
        batch_size: images in one pass.
        progress: called with files done and files in all.

    Returns:
        Columns `path, modality, view, frame`, the findings (probabilities; NaN where there is none), `status` (`ok`, or
        the reason why the file could not be read or was refused), `remark`, and `notice` where the model was trained on
        generated data.

    Raises:
        KeyError: a finding that the method cannot score, before any file is read.
    """
    names = tuple(findings) if findings is not None else model.findings
    encode: Callable[[Tensor], ImageFeatures] | None = None
    score: Callable[[Any], Tensor] = lambda images: model.score(images, names)  # noqa: E731
    if isinstance(model, TrainedModel):
        method = model.method
        encode, score = method.image_encoder, lambda features: method.score_encoded(features, names)
    admission = admission or Admission.of(model)
    common, rows = untrained(names, model.findings), []
    ran = run_files(
        score,
        sources,
        model.preprocess,
        model.device,
        encode=encode,
        admission=admission,
        batch_size=batch_size,
        progress=progress,
    )
    for file, scores in ran:
        values = np.full(len(names), np.nan, np.float32) if scores is None else scores
        remarks = [*file.remarks, *common] if file.status == "ok" else []
        row = file.columns() | dict(zip(names, values.tolist(), strict=True))
        rows.append(row | {"status": file.status, "remark": "; ".join(remarks)})
    table = pd.DataFrame(rows, columns=["path", "modality", "view", "frame", *names, "status", "remark"])
    return with_notice(table.astype({"frame": "Int64"}), model.notice)
