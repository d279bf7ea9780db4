"""`Model`: a trained model in use. `medvlp.load(folder)` gives one, of a pretrained or of a fine-tuned folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from medvlp.io import Image, ReadError
from medvlp.io.walk import find_images
from medvlp.tasks.admission import Admission, Frames, TaskError, check_phrase
from medvlp.tasks.embed import embed_images, embed_texts
from medvlp.tasks.ground import HeatMapKind, ground_files
from medvlp.tasks.image_files import ImageSource
from medvlp.tasks.inference import Progress
from medvlp.tasks.label import label_files
from medvlp.tasks.report_index import ReportIndex
from medvlp.tasks.segment import SegmentedFile, segment_files
from medvlp.training.finetuning import FinetunedModel, load_finetuned
from medvlp.training.model_folder import PRETRAINING, ModelFolder, TrainedModel, device_named, load_model


@dataclass
class Model:
    """A trained model with the verbs that people want.

        model = medvlp.load("runs/devide")
        model.label(["patient.dcm", "folder"])                  # table: path, probabilities, status
        model.ground("patient.dcm", "left pleural effusion")    # heat map at the file's size
        model.retrieve("index", image="patient.dcm")            # nearest reports

    Attributes:
        folder: where it was loaded from.
        trained: the pretrained part, or None in a folder of `medvlp finetune`.
        finetuned: the fine-tuned part, or None in a folder of `medvlp pretrain`.
    """

    folder: Path
    trained: TrainedModel | None = None
    finetuned: FinetunedModel | None = None

    @property
    def notice(self) -> str | None:
        """What must stand on whatever is made with this model (it was trained on generated data), or None."""
        part = self.trained or self.finetuned
        return part.notice if part else None

    @property
    def findings(self) -> tuple[str, ...]:
        """Ids of the findings it was trained on."""
        return self._labeler.findings

    @property
    def pretrained(self) -> TrainedModel:
        """The pretrained part.

        Raises:
            TaskError: this is a fine-tuned model.
        """
        if self.trained is None:
            kind = self.finetuned.task if self.finetuned else "fine-tuned"
            raise TaskError(f"{self.folder} is a {kind} model; label, embed, retrieve and ground need a pretrained one")
        return self.trained

    @property
    def _labeler(self) -> TrainedModel | FinetunedModel:
        """What gives findings a probability: a pretrained model, or a classification."""
        if self.finetuned is not None and self.finetuned.task == "classification":
            return self.finetuned
        return self.pretrained

    @property
    def segmenter(self) -> FinetunedModel:
        """The segmentation part.

        Raises:
            TaskError: this model has no segmentation head.
        """
        if self.finetuned is None or self.finetuned.task != "segmentation":
            raise TaskError(
                f"{self.folder} has no segmentation head; "
                f"`medvlp finetune RECIPE encoder.model={self.folder} --out FOLDER` trains one"
            )
        return self.finetuned

    def label(
        self,
        files: ImageSource | Iterable[ImageSource],
        findings: Sequence[str] | None = None,
        *,
        force: bool = False,
        frames: Frames = "first",
        batch_size: int = 16,
        progress: Progress | None = None,
    ) -> pd.DataFrame:
        """Probabilities of findings: one row a file, also for those that cannot be read; see `tasks.label`.

        Args:
            files, findings, batch_size, progress: as in `label_files`.
            force: take images that are refused by their header (a CT, a knee); their remark says so.
            frames: of an object of several: its `first`, or `all`, a row each.
        """
        admission, sources = Admission.of(self._labeler, force, frames), expand_sources(files)
        return label_files(
            self._labeler, sources, findings, admission=admission, batch_size=batch_size, progress=progress
        )

    def embed(
        self,
        images: ImageSource | Iterable[ImageSource] | None = None,
        *,
        texts: str | Iterable[str] | None = None,
        force: bool = False,
    ) -> NDArray[np.float32]:
        """Unit vectors `[N, D]` of images or of texts; their products are the similarities that retrieval uses.

        Raises:
            ReadError: an image cannot be read, or is refused by its header and not forced.
            TaskError: both or neither are given, or the method reads no text.
        """
        if (images is None) == (texts is None):
            raise TaskError("embed takes images or texts, one of the two")
        if texts is not None:
            return embed_texts(self.pretrained, [texts] if isinstance(texts, str) else list(texts))
        return embed_images(self.pretrained, expand_sources(images or ()), Admission.of(self.pretrained, force))

    def segment(
        self,
        files: ImageSource | Iterable[ImageSource],
        *,
        force: bool = False,
        frames: Frames = "first",
        progress: Progress | None = None,
    ) -> list[SegmentedFile]:
        """Masks at the size of the files, `force` and `frames` as in `label`; for very many use `segment_files`.

        Raises:
            TaskError: this model has no segmentation head.
        """
        admission = Admission.of(self.segmenter, force, frames)
        return list(segment_files(self.segmenter, expand_sources(files), admission=admission, progress=progress))

    def ground(
        self, file: ImageSource, phrase: str, kind: HeatMapKind = "phrase", *, force: bool = False
    ) -> NDArray[np.float32]:
        """Heat map, float32 `[H, W]` of the file's own size, larger is likelier; kinds as in `heat_map_function`.

        Raises:
            ReadError: the file cannot be read, or is refused by its header and not forced.
            TaskError: no word of the phrase is known.
        """
        admission = Admission.of(self.pretrained, force)
        (grounded,) = ground_files(self.pretrained, [file], phrase, kind=kind, admission=admission)
        if grounded.heat is None:
            raise ReadError(grounded.file.path, grounded.file.status)
        return grounded.heat

    def retrieve(
        self,
        index: ReportIndex | str | Path,
        *,
        image: ImageSource | None = None,
        text: str | None = None,
        k: int = 5,
        force: bool = False,
    ) -> pd.DataFrame:
        """The k nearest reports for an image, or images for a text, with `rank` and `similarity`.

        Raises:
            ReadError: the image cannot be read, or is refused by its header and not forced.
            TaskError: both or neither are given, no word of the text is known, or another model made the index.
        """
        if (image is None) == (text is None):
            raise TaskError("retrieve takes an image or a text, one of the two")
        if not isinstance(index, ReportIndex):
            index = ReportIndex.load(index)
        index.check_model(self.folder)
        if text is not None:
            check_phrase(self.pretrained.book, text)
            return index.images_for(self.embed(texts=text), k)[0]
        return index.reports_for(self.embed(image, force=force), k)[0]


def load(folder: str | Path, device: str = "auto") -> Model:
    """Load a model folder of `medvlp pretrain` or `medvlp finetune`. Nothing is downloaded, no pickled code runs.

    Args:
        folder: the model.
        device: `auto` takes a GPU where there is one; else as torch names them.

    Raises:
        ModelFolderError: the folder, or a file of it, is missing or damaged.
        TaskError: no such device.
    """
    _check_device(device)
    if ModelFolder(folder).kind != PRETRAINING:
        return Model(Path(folder), finetuned=load_finetuned(folder, device))
    return Model(Path(folder), trained=load_model(folder, device))


def _check_device(name: str) -> None:
    try:
        torch.empty(0, device=device_named(name))
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise TaskError(f'no device "{name}" ({reason}); give auto, cpu, or cuda where torch sees a GPU') from error


def expand_sources(files: ImageSource | Iterable[ImageSource]) -> list[ImageSource]:
    """One file, folder or image, or several -> files and images, folders walked."""
    several = [files] if isinstance(files, str | Path | Image) else list(files)
    found: list[ImageSource] = []
    for one in several:
        found += [one] if isinstance(one, Image) else find_images(one).files
    return found
