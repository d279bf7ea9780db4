"""`Method`: one published system: what it encodes, its losses, how it scores a finding. `METHODS`: all by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt, ValidationInfo
from pydantic_core import PydanticCustomError
from torch import Tensor, nn

from medvlp.data.batch import Batch, BatchField
from medvlp.knowledge import KnowledgeBook
from medvlp.models import (
    ONE_RANK,
    ImageEncoder,
    ImageFeatures,
    Ranks,
    ReportTokenizer,
    TextBank,
    TextEncoder,
    TextFeatures,
)
from medvlp.objectives import SampledSentences
from medvlp.registry import Registry


def _check_template(template: str) -> str:
    rest = template.replace("{}", "", 1)
    if rest == template or "{" in rest or "}" in rest:
        raise PydanticCustomError("template", 'a template says "{}" once, where the name of the finding goes')
    return template


def _check_absence_template(template: str) -> str:
    """A prompt for absence may be the same for all findings ("normal chest")."""
    return _check_template(template) if {"{", "}"} & set(template) else template


def _check_heads(heads: int, info: ValidationInfo) -> int:
    """The number of heads divides the width, a field that is declared before the heads."""
    for key, width in info.data.items():
        if key.endswith("width") and width % heads:
            raise PydanticCustomError("heads", f"{heads} heads do not divide {key}, {width}")
    return heads


Fraction = Annotated[float, Field(ge=0, le=1)]
FixedTemperature = Annotated[float, Field(ge=0.01, le=1)]  # what `Temperature` holds
AttentionHeads = Annotated[PositiveInt, AfterValidator(_check_heads)]
Facets = Annotated[tuple[str, ...], Field(min_length=1)]
Template = Annotated[str, AfterValidator(_check_template)]
AbsenceTemplate = Annotated[str, Field(min_length=1), AfterValidator(_check_absence_template)]
PromptPairs = Annotated[tuple[tuple[Template, AbsenceTemplate], ...], Field(min_length=1)]


class Options(BaseModel):
    """A method's own settings; a subclass names them, each with its bounds. An unknown key is an error.

    Examples:
        >>> class MyOptions(Options):
        ...     temperature: FixedTemperature = 0.1
        >>> MyOptions(temperature=0.2)
        MyOptions(temperature=0.2)
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


@dataclass(frozen=True)
class MethodParts:
    """What every method is built on.

    Attributes:
        image_encoder, text_encoder, tokenizer: as the recipe names them.
        findings: finding ids, the columns of `Batch.findings`.
        book: the texts that a method may read of any finding.

    Examples:
        >>> parts = MethodParts.tiny(["edema", "pneumothorax"])
        >>> parts.make_batch(torch.zeros(2, 1, 64, 64), ["Mild edema.", "Normal."]).findings.shape
        torch.Size([2, 2])
    """

    image_encoder: ImageEncoder
    text_encoder: TextEncoder
    tokenizer: ReportTokenizer
    findings: tuple[str, ...]
    book: KnowledgeBook

    @classmethod
    def tiny(cls, findings: Sequence[str]) -> MethodParts:
        """Encoders of random weights for images of 64 x 64, to try a method on: `build_method(name, **vars(parts))`."""
        book = KnowledgeBook.load("default")
        texts = [text for row in book.texts(findings, ("definition",)) for text in row if text]
        tokenizer = ReportTokenizer.train(texts, vocab_size=400, min_frequency=1)
        text_encoder = TextEncoder("small", vocab_size=tokenizer.vocab_size, layers=1, width=32, heads=2)
        return cls(ImageEncoder("test_resnet", image_size=64, dim=32), text_encoder, tokenizer, tuple(findings), book)

    def make_batch(self, images: Tensor, reports: Sequence[str]) -> Batch:
        """A batch of images `[B, 1, H, W]` and B reports of one sentence each; all findings are unmentioned."""
        ids, findings = [str(i) for i in range(len(images))], torch.full((len(images), len(self.findings)), -1).char()
        tokens, mask = self.tokenizer(reports, self.text_encoder.max_tokens)
        sentences, group = (tokens[:, None], mask[:, None]), torch.arange(len(images))
        return Batch(images, tokens, mask, *sentences, findings, findings[:, None], group, ids, ids, ids)


@dataclass(frozen=True)
class EncodedSentences:
    """N sentences of a batch: their features, not projected, and which sentences they are.

    Examples:
        >>> parts = MethodParts.tiny(["edema"])
        >>> batch = parts.make_batch(torch.zeros(2, 1, 64, 64), ["Mild edema.", "Normal."])
        >>> sentences = build_method("convirt", **vars(parts)).encode(batch).sentences
        >>> sentences.features.global_.shape, sentences.sampled.image_index
        (torch.Size([2, 32]), tensor([0, 1]))
    """

    features: TextFeatures
    sampled: SampledSentences


@dataclass(frozen=True)
class EncodedKnowledge:
    """Texts of F findings as a method compares them with images.

    Attributes:
        vectors: `[F, D]`, or `[F, K, D]` for K texts of each finding.
        known: bool `[F, K]`, False where the book has no such text; None where it has all.
        places: `[P, D]` of the sentences of places; None for methods that read none.

    Examples:
        >>> EncodedKnowledge(torch.zeros(14, 2, 32), known=torch.ones(14, 2, dtype=torch.bool)).vectors.shape
        torch.Size([14, 2, 32])
    """

    vectors: Tensor
    known: Tensor | None = None
    places: Tensor | None = None


@dataclass(frozen=True)
class Encoded:
    """What a method encoded of a batch. A method with more to say adds fields in a frozen subclass.

    Attributes:
        image: features of `batch.images` as the image encoder gives them, not projected. Nothing else that is encoded
            depends on the images, so that an augmentation may replace them.
        report: features of `batch.report_tokens`, not projected; None where the method reads no whole report as it is.
        sentences: of reports. knowledge: of the findings' texts. None where the method reads none.

    Examples:
        >>> parts = MethodParts.tiny(["edema"])
        >>> batch = parts.make_batch(torch.zeros(2, 1, 64, 64), ["Mild edema.", "Normal."])
        >>> encoded = build_method("clip", **vars(parts)).encode(batch)
        >>> encoded.image.grid, encoded.report.global_.shape, encoded.knowledge
        ((4, 4), torch.Size([2, 32]), None)
    """

    image: ImageFeatures
    report: TextFeatures | None = None
    sentences: EncodedSentences | None = None
    knowledge: EncodedKnowledge | None = None


class Method(nn.Module, ABC):
    """An `nn.Module` that encodes a batch, compares what it encoded, and scores findings.

    A subclass is a composition of shared parts (`medvlp.models`, `medvlp.objectives`), 50 to 200 lines, registered with
    `@register_method("name")`; see `docs/adding-a-method.md`. Calling it on a batch gives its losses.

    Class attributes:
        Options: the settings that a recipe may give under `options:`.
        required_fields: what a batch must hold for the losses to mean something. Training refuses data that lack one.
        reads_text: False for a method without a text tower, which cannot read a phrase.

    Attributes:
        ranks: of a distributed run; what compares images with each other passes it to its loss, and gathers the columns
            with `ranks.gather`. The training loop sets it.
        image_encoder: the pretrained trunk, which a segmentation or classification head is put on.
        text_encoder, bank: its text tower, and features of fixed texts, computed once for the same weights; absent
            where `reads_text` is False.
        findings: ids that it is trained on. book, tokenizer, options: as given.

    Examples:
        >>> parts = MethodParts.tiny(["edema", "pneumothorax"])
        >>> method = build_method("devide", **vars(parts)).eval()
        >>> method(parts.make_batch(torch.zeros(2, 1, 64, 64), ["Mild edema.", "Normal."])).keys()
        dict_keys(['report', 'knowledge', 'patch', 'bce'])
        >>> method.score(torch.zeros(2, 1, 64, 64), ["edema", "hiatal_hernia"]).shape
        torch.Size([2, 2])
        >>> method.heat_map(torch.zeros(2, 1, 64, 64), "left lung").shape
        torch.Size([2, 4, 4])
    """

    Options: ClassVar[type[Options]] = Options
    required_fields: ClassVar[frozenset[BatchField]] = frozenset()
    reads_text: ClassVar[bool] = True
    ranks: Ranks = ONE_RANK

    def __init__(self, parts: MethodParts, options: Any) -> None:
        super().__init__()
        self.image_encoder = parts.image_encoder
        if self.reads_text:
            self.text_encoder = parts.text_encoder
            self.bank = TextBank(parts.text_encoder, parts.tokenizer)
        self.tokenizer, self.findings, self.book = parts.tokenizer, parts.findings, parts.book
        self.options = options

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Raises ValueError for a required field that no batch has."""
        super().__init_subclass__(**kwargs)
        cls.required_fields = frozenset(map(BatchField, cls.required_fields))

    # -------------------------------------------------------------------------------------------------------- training

    def encode(self, batch: Batch) -> Encoded:
        """Everything of a step that passes an encoder, once: here the images, and reports where they are required."""
        image = self.image_encoder(batch.images)
        reads = self.reads_text and BatchField.REPORTS in self.required_fields
        return Encoded(image, self.text_encoder(batch.report_tokens, batch.report_mask) if reads else None)

    @abstractmethod
    def losses(self, batch: Batch, encoded: Any) -> dict[str, Tensor]:
        """Named scalar losses, each already weighted: training sums them. No host sync, no Python loop over images.

        Args:
            batch: its labels, masks and ids; images and texts are read in `encoded` alone.
            encoded: what `encode` gave for this batch.
        """

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """`encode`, then `losses`."""
        return self.losses(batch, self.encode(batch))

    # ------------------------------------------------------------------------------------------------------------- use

    @abstractmethod
    def project_images(self, features: ImageFeatures) -> ImageFeatures:
        """Features of the image encoder -> the space in which `global_` compares with `encode_texts(...).global_`."""

    @abstractmethod
    def encode_texts(self, texts: Sequence[str]) -> TextFeatures:
        """Texts -> features in the same space as `project_images`."""

    @abstractmethod
    def score_encoded(self, features: ImageFeatures, findings: Sequence[str]) -> Tensor:
        """Probability `[B, F]` that each finding (knowledge id) is present, by the method's own zero-shot path.

        Args:
            features: of the image encoder, not projected; several questions of one image share them.
            findings: ids.
        """

    def heat_map_encoded(self, features: ImageFeatures, phrase: str) -> Tensor:
        """Where a phrase is: `[B, h, w]` on the patch grid, larger is likelier; here its cosine with each patch."""
        projected, text = self.project_images(features), self.encode_texts([phrase])
        patches = nn.functional.normalize(projected.patches, dim=-1)
        target = nn.functional.normalize(text.global_, dim=-1)[0]
        return (patches @ target).unflatten(1, features.grid)

    def encode_images(self, images: Tensor) -> ImageFeatures:
        """`project_images` of images `[B, 1, H, W]`."""
        return self.project_images(self.image_encoder(images))

    def score(self, images: Tensor, findings: Sequence[str]) -> Tensor:
        """`score_encoded` of images `[B, 1, H, W]`."""
        return self.score_encoded(self.image_encoder(images), findings)

    @torch.no_grad()
    def heat_map(self, images: Tensor, phrase: str) -> Tensor:
        """`heat_map_encoded` of images `[B, 1, H, W]`, without gradient."""
        return self.heat_map_encoded(self.image_encoder(images), phrase)


def _check_method(member: object) -> None:
    if not (isinstance(member, type) and issubclass(member, Method)):
        raise TypeError(f"{member!r} is no class derived from Method; an entry point says module:Class")


METHODS: Registry[type[Method]] = Registry("method", "medvlp.methods", "medvlp.methods", _check_method)
register_method = METHODS.register


def build_method(
    name: str,
    *,
    image_encoder: ImageEncoder,
    text_encoder: TextEncoder,
    tokenizer: ReportTokenizer,
    findings: Sequence[str],
    book: KnowledgeBook,
    options: Options | Mapping[str, Any] | None = None,
) -> Method:
    """Put a method together.

    Args:
        name: a registered method.
        image_encoder, text_encoder, tokenizer: its encoders, and the tokenizer of the text encoder.
        findings: finding ids, the columns of `Batch.findings`.
        book: the texts of these findings, and of those that are scored later.
        options: its `Options`, or a mapping that they are made of; None for the defaults.

    Raises:
        UnknownMemberError: no such method.
        pydantic.ValidationError: an unknown option or value.

    Examples:
        >>> parts = MethodParts.tiny(["edema", "pneumothorax"])
        >>> method = build_method("clip", **vars(parts), options={"dim": 16})
        >>> method.encode_texts(["Mild edema."]).global_.shape
        torch.Size([1, 16])
    """
    cls = METHODS.get(name)
    if not isinstance(options, Options):
        options = cls.Options(**(options or {}))
    return cls(MethodParts(image_encoder, text_encoder, tokenizer, tuple(findings), book), options)
