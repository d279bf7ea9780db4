"""Classification: one linear logit a finding on the encoder's global vector, measured by macro AUROC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from medvlp.data.batch import Batch
from medvlp.methods.base import Options
from medvlp.models import ONE_RANK, ImageEncoder, Ranks
from medvlp.objectives import Uncertain, Unmentioned, masked_bce
from medvlp.reports.states import FindingState
from medvlp.training.assemble import resolve_findings
from medvlp.training.heads import heads
from medvlp.training.heads.base import Head
from medvlp.training.recipe_errors import RecipeError
from medvlp.training.validation import ValidationAuroc


class ClassificationOptions(Options):
    """Settings of the classification head.

    Attributes:
        findings: a label space's name or file, or a list of finding ids, in the order of the model's outputs.
        unmentioned, uncertain: what such labels count as; see `medvlp.objectives.labels_and_mask`.
    """

    findings: str | tuple[str, ...]
    unmentioned: Unmentioned = "negative"
    uncertain: Uncertain = "ignore"


class ClassificationNet(nn.Module):
    """Radiographs `[B, 1, H, W]` -> logits `[B, F]`, linear in the encoder's global vector.

    Args:
        encoder: pretrained or not.
        findings: ids of the F outputs.
    """

    ranks: Ranks = ONE_RANK

    def __init__(self, encoder: ImageEncoder, findings: Sequence[str]) -> None:
        super().__init__()
        self.encoder, self.findings = encoder, tuple(findings)
        self.head = nn.Linear(encoder.dim, len(self.findings))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.encoder(images).global_)

    def score(self, images: Tensor, findings: Sequence[str]) -> Tensor:
        """Probability `[B, F]` of some of its findings."""
        return self(images).sigmoid()[:, [self.findings.index(finding) for finding in findings]]


@heads.register("classification")
class ClassificationHead(Head):
    """`ClassificationNet` on the labels of a store: the masked binary cross-entropy of its findings."""

    Options: ClassVar[type[Options]] = ClassificationOptions
    kind: ClassVar[str] = "classification"
    metric = "auroc"
    model: ClassificationNet

    def __init__(self, encoder: ImageEncoder, options: ClassificationOptions, *args: Any, **settings: Any) -> None:
        self.findings = self.outputs(options)
        super().__init__(encoder, options, *args, **settings)
        rows, size = self.validation_rows, self.recipe.data.batch_size
        try:
            self._auroc = ValidationAuroc(self.store, rows, tuple(self.findings), options.unmentioned, size)
        except RecipeError as error:
            raise RecipeError(
                f"options.findings: among the {len(rows)} validation images no finding has both a positive and a "
                "negative, so AUROC cannot rank models. Choose other findings, options.unmentioned=negative or another "
                "data.validate_split."
            ) from error

    @classmethod
    def network(cls, encoder: ImageEncoder, options: ClassificationOptions) -> ClassificationNet:
        return ClassificationNet(encoder, cls.outputs(options))

    @classmethod
    def outputs(cls, options: ClassificationOptions) -> tuple[str, ...]:
        return resolve_findings(options.findings, "options.findings")

    def labeled_rows(self, split: str) -> NDArray[np.int64]:
        rows = self.store.rows(split, self.recipe.data.views)
        rows = rows[(self.store.states(self.findings)[rows] != FindingState.UNMENTIONED).any(1)]
        if not len(rows):
            raise RecipeError(f"options.findings: no image of the split {split!r} of {self.store.path} has a label")
        return rows

    def encoder_part(self) -> nn.Module:
        return self.model.encoder

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        has_report, o = batch.report_mask.any(1), self.options
        loss = masked_bce(
            self.model(batch.images),
            batch.findings,
            o.unmentioned,
            o.uncertain,
            has_report=has_report,
            ranks=self.ranks,
        )
        return {"bce": loss}

    def measure(self, fabric: Fabric) -> dict[str, float]:
        return self._auroc(self.model, fabric)
