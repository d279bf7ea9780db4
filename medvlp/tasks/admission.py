"""What a model may be asked: images by their header and their looks, phrases by their words; one step for all verbs."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medvlp.errors import MedVLPError, did_you_mean
from medvlp.io import Image
from medvlp.io.radiograph_header import refusal, remarks
from medvlp.knowledge import KnowledgeBook
from medvlp.models import ImageFeatures
from medvlp.training.image_distribution import UNLIKE, ImageDistribution, coarsest_map, map_statistics
from medvlp.training.model_folder import LoadedModel

_log = logging.getLogger(__name__)
Frames = Literal["first", "all"]


class TaskError(MedVLPError, ValueError):
    """A request that a model, a store or an index cannot meet; the message says what does not fit and what to do."""


@dataclass(frozen=True, eq=False)
class Admission:
    """Which images a model takes, and what has to be said of those that it takes.

    Attributes:
        trunk, training_images: of the model; None where its folder does not say what its images looked like.
        force: take what the header speaks against, and say so.
        frames: of an object of several: `first`, or `all`, each with a row of its own.
    """

    trunk: nn.Module | None = None
    training_images: ImageDistribution | None = None
    force: bool = False
    frames: Frames = "first"

    @classmethod
    def of(cls, model: LoadedModel, force: bool = False, frames: Frames = "first") -> Admission:
        """What a loaded model takes; logs where its folder does not say what its training images looked like.

        Raises:
            TaskError: `frames` is neither `first` nor `all`.
        """
        if frames not in get_args(Frames):
            raise TaskError(f'frames is "{frames}"; {did_you_mean(frames, get_args(Frames))}')
        if model.training_images is None:
            _log.warning(
                "This model does not say what its training images looked like, so pictures unlike them are not flagged."
            )
        return cls(model.trunk, model.training_images, force, frames)

    def check_header(self, image: Image) -> tuple[str, list[str]]:
        """Why an image is refused, or ""; and the remarks on one that is admitted."""
        reason = refusal(image)
        if reason and not self.force:
            return f"refused: {reason}", []
        views = self.training_images.views if self.training_images else ()
        return "", [*([f"forced: {reason}"] if reason else []), *remarks(image, views)]

    @torch.no_grad()
    def check_looks(self, images: Tensor, features: ImageFeatures | None = None) -> list[list[str]]:
        """For each of the normalized images `[B, 1, H, W]`: the remark that it is unlike the training images, if so.

        `features` of the model's image encoder, where they are there already, spare the images a second pass.
        """
        if self.training_images is None or self.trunk is None:
            return [[] for _ in images]
        coarsest = coarsest_map(self.trunk, images) if features is None else features.pyramid[-1]
        unlike: NDArray[np.bool_] = self.training_images.unlike(map_statistics(coarsest).float().cpu().numpy())
        return [[UNLIKE] if each else [] for each in unlike.tolist()]


def check_phrase(book: KnowledgeBook, phrase: str) -> None:
    """Refuse a phrase of which the book knows no word; a model would answer it all the same.

    Raises:
        TaskError: the phrase is empty, or none of its words is known.

    Examples:
        >>> check_phrase(KnowledgeBook.load(), "left pleural effusion")
        >>> check_phrase(KnowledgeBook.load(), "banana on the table")
        Traceback (most recent call last):
        ...
        medvlp.tasks.admission.TaskError: no word of "banana on the table" is known; ask in words of a chest radiograph
    """
    if not phrase.strip():
        raise TaskError("the phrase is empty; say what to look for, such as 'left pleural effusion'")
    if not _words(phrase) & _known_words(tuple(_texts(book))):
        raise TaskError(f'no word of "{phrase}" is known; ask in words of a chest radiograph')


def untrained(findings: Sequence[str], trained: Sequence[str]) -> list[str]:
    """The remark that names findings on which a model was not trained, if there are any."""
    others = [finding for finding in findings if finding not in trained]
    return [f"not trained on {', '.join(others)}"] if others else []


def _texts(book: KnowledgeBook) -> Iterable[str]:
    for finding in book.findings:
        yield book.name_of(finding)
        yield from (entry.text for entry in book.content[finding].values())


@lru_cache(maxsize=4)
def _known_words(texts: tuple[str, ...]) -> frozenset[str]:
    return frozenset(_words(" ".join(texts)))


def _words(text: str) -> set[str]:
    """Words that mean something: no articles, prepositions and the like."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return set(re.findall(r"[a-z]{2,}", text.lower())) - ENGLISH_STOP_WORDS
