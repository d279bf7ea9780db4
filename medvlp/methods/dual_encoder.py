"""`DualEncoder` and its bases: what methods share that compare whole images with whole texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from pydantic import PositiveInt
from torch import Tensor

from medvlp.data.batch import Batch, BatchField
from medvlp.knowledge.prompts import PromptSet
from medvlp.methods.base import Encoded, Method, MethodParts, Options, PromptPairs
from medvlp.models import (
    ONE_RANK,
    ImageFeatures,
    ProjectionHead,
    Ranks,
    SigmoidScale,
    Temperature,
    TextFeatures,
    cosines,
)
from medvlp.objectives import TargetKind, info_nce, target_ancestors, target_matrix


class ProjectionOptions(Options):
    """Settings of `ProjectedEncoders`. `dim`: width of the space in which images and texts are compared."""

    dim: PositiveInt = 128


class PromptOptions(ProjectionOptions):
    """Settings of zero-shot scoring with pairs of prompts, beside those of `ProjectionOptions`.

    Attributes:
        prompts: pairs of templates for a finding that is present and absent, with "{}" for its name.
    """

    prompts: PromptPairs = (("{}", "no {}"), ("there is {}.", "there is no {}."))


class DualEncoderOptions(PromptOptions):
    """Settings of a contrast of images with reports, beside those of `PromptOptions`.

    Attributes:
        false_negatives: which other reports are right for an image too; see `target_matrix`.
    """

    false_negatives: TargetKind = "same_text"


class JointEmbedding(Method):
    """Images, patches, texts and tokens in one embedding space. A subclass defines `image_head` and `text_head`."""

    image_head: ProjectionHead
    text_head: ProjectionHead

    def project_images(self, features: ImageFeatures) -> ImageFeatures:
        """As in `Method`; patches go through `project_patches`."""
        patches = self.project_patches(features.patches)
        return replace(features, global_=self.image_head(features.global_), patches=patches)

    def encode_texts(self, texts: Sequence[str]) -> TextFeatures:
        """As in `Method`; texts are encoded as reports are, and tokens go through `project_tokens`."""
        features = self.bank(texts)
        return replace(features, global_=self.text_head(features.global_), tokens=self.project_tokens(features.tokens))

    def project_patches(self, patches: Tensor) -> Tensor:
        """Patches of the image encoder -> what compares with tokens: here the head of the whole image."""
        projected: Tensor = self.image_head(patches)
        return projected

    def project_tokens(self, tokens: Tensor) -> Tensor:
        """Tokens of the text encoder -> what compares with patches: here the head of the whole text."""
        projected: Tensor = self.text_head(tokens)
        return projected


class ProjectedEncoders(JointEmbedding):
    """Images and texts on one unit sphere, each by a projection head. A subclass defines the loss and the score.

    Args:
        parts, options: as in `Method`.
        hidden: width of the hidden layer of both heads; None for linear heads.
        scale: from cosines to logits; None for CLIP's learned inverse temperature.

    Attributes:
        image_head, text_head: onto the sphere. scale: from cosines to logits.
        ancestors: of the findings, for the target `ontology` of `options.false_negatives`; else None.
    """

    ancestors: Tensor | None

    def __init__(
        self,
        parts: MethodParts,
        options: ProjectionOptions,
        hidden: int | None = None,
        scale: Temperature | SigmoidScale | None = None,
    ) -> None:
        super().__init__(parts, options)
        self.image_head = ProjectionHead(parts.image_encoder.dim, options.dim, hidden)
        self.text_head = ProjectionHead(parts.text_encoder.dim, options.dim, hidden)
        self.scale = scale or Temperature()
        kind: TargetKind = getattr(options, "false_negatives", "identity")
        self.register_buffer("ancestors", target_ancestors(kind, parts.findings), persistent=False)


class DualEncoder(ProjectedEncoders):
    """Projected encoders that learn from reports and score findings with pairs of prompts.

    Zero-shot (CheXzero, Tiu et al., Nat. BME 2022): for each pair of templates the probability is the softmax over the
    two scaled cosines, that is sigmoid(s (v t+ - v t-)); the mean over pairs is returned.

    Args:
        parts, options, hidden, scale: as in `ProjectedEncoders`.

    Examples:
        >>> from medvlp.methods import build_method
        >>> method = build_method("clip", **vars(MethodParts.tiny(["edema"])))
        >>> isinstance(method, DualEncoder), method.prompt_texts(["edema"])[:2]
        (True, ['pulmonary edema', 'no pulmonary edema'])
    """

    required_fields: ClassVar[frozenset[BatchField]] = frozenset({BatchField.REPORTS})
    options: PromptOptions

    def project_pairs(self, encoded: Encoded) -> tuple[Tensor, Tensor]:
        """Unit vectors `[B, dim]` of the images and of the reports of a batch."""
        assert encoded.report is not None
        return self.image_head(encoded.image.global_), self.text_head(encoded.report.global_)

    def report_logits(self, image: Tensor, report: Tensor) -> Tensor:
        """Scaled cosines `[B, all B]` of unit vectors `[B, dim]`, with the reports of all ranks as columns."""
        return self.scale(cosines(image, self.ranks.gather(report)))

    def pair_cosines(self, features: ImageFeatures, findings: Sequence[str]) -> Tensor:
        """Cosines `[T, 2, B, F]` of images with T pairs of prompts, present and absent.

        A finding with words of its own for both (`no_finding` is "normal chest" against "abnormal chest", since "no no
        finding" says nothing) is put into the template of presence twice.
        """
        return self.prompt_cosines(self.image_head(features.global_), findings)

    def prompt_cosines(self, image: Tensor, findings: Sequence[str]) -> Tensor:
        """`pair_cosines` of unit vectors `[B, dim]` of images."""
        text = self.encode_texts(self.prompt_texts(findings)).global_
        return cosines(image, text.unflatten(0, (len(self.options.prompts), 2, len(findings))))

    def prompt_texts(self, findings: Sequence[str]) -> list[str]:
        """The T x 2 x F prompts, templates outermost."""
        return [
            text
            for pair in self.options.prompts
            for side in (0, 1)
            for text in self._format_prompts(pair, side, findings)
        ]

    def _format_prompts(self, pair: tuple[str, str], side: int, findings: Sequence[str]) -> list[str]:
        own = PromptSet.load("chexzero").own
        return [
            pair[0].format((own[finding].present, own[finding].absent)[side][0])
            if finding in own
            else pair[side].format(self.book.name_of(finding))
            for finding in findings
        ]

    def score_encoded(self, features: ImageFeatures, findings: Sequence[str]) -> Tensor:
        """As in `Method`, by pairs of prompts."""
        return self.pair_probability(self.pair_cosines(features, findings))

    def pair_probability(self, pair_cosines: Tensor) -> Tensor:
        """`[T, 2, B, F]` -> the mean over pairs of prompts of the softmax over their two logits, `[B, F]`."""
        present, absent = self.scale(pair_cosines).unbind(1)
        return (present - absent).sigmoid().mean(0)


def report_contrast(
    batch: Batch,
    logits: Tensor,
    false_negatives: TargetKind,
    ancestors: Tensor | None = None,
    row_weight: float = 0.5,
    ranks: Ranks = ONE_RANK,
) -> Tensor:
    """Contrast of images with reports; an image without report is neither right nor wrong for any text.

    Args:
        batch: whose reports, groups and labels make the target.
        logits: `[B, all B]`, this rank's images against the reports of all ranks.
        false_negatives, ancestors: of the target; see `target_matrix`.
        row_weight: share of the direction image to report.
        ranks: of a distributed run.

    Examples:
        >>> import torch
        >>> batch = MethodParts.tiny(["edema"]).make_batch(torch.zeros(2, 1, 64, 64), ["Mild edema.", "Normal."])
        >>> report_contrast(batch, 100 * torch.eye(2), "identity")
        tensor(0.)
    """
    target = target_matrix(
        false_negatives, text_group=batch.text_group, states=batch.findings, ancestors=ancestors, ranks=ranks
    )
    return info_nce(logits, target, report_pair_mask(batch, ranks), row_weight, ranks)


def report_pair_mask(batch: Batch, ranks: Ranks) -> Tensor:
    """bool `[B, all B]`: pairs of images that both have a report.

    Examples:
        >>> import torch
        >>> batch = MethodParts.tiny(["edema"]).make_batch(torch.zeros(2, 1, 64, 64), ["Mild edema.", "Normal."])
        >>> batch.report_mask[1] = False
        >>> report_pair_mask(batch, ONE_RANK)
        tensor([[ True, False],
                [False, False]])
    """
    has_report = batch.report_mask.any(1)
    return has_report[:, None] & ranks.gather(has_report)[None]
