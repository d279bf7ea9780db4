"""`BatchLoader`: a store becomes batches, as a function of (seed, epoch, step) alone, so that resume is exact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medvlp.data.augment import Augment
from medvlp.data.batch import Batch
from medvlp.data.prefetch import prefetch
from medvlp.data.report_table import DEFAULT_SECTIONS
from medvlp.data.store import Store
from medvlp.data.tokenized_reports import Field, TokenizedReports, Tokenizer
from medvlp.data.volume_augment import VolumeAugment
from medvlp.data.volume_preprocess import VolumePreprocess


class BatchLoader:
    """Batches of some rows of a store.

    Args:
        store: prepared images and reports.
        rows: positions in the store's table, as `store.rows(split="train")` gives them.
        tokenizer: `tokenizer(texts, max_length=n) -> (ids [N, T], mask [N, T])`; the corpus is tokenized once, here.
            None reads no reports: `report_mask` then says only which images have one.
        findings: ids, the columns of `Batch.findings`.
        batch_size: images of one batch of this process.
        seed: of order and augmentation.
        train: shuffle, augment, and leave out the last incomplete batch; else the rows in order, all of them.
        augment: strengths, of the store's kind; default `Augment()` or `VolumeAugment()`. Ignored unless `train`.
        max_tokens, max_sentences, max_sentence_tokens: what is beyond is cut off; batches are padded to their longest.
        sections: of the reports, which are read; a report without any of them is read whole.
        places: also make `Batch.places`. concepts: also `Batch.concepts`, with a tokenizer that has `offsets`.
        structures: names of masks of the store: `Batch.masks` has them in this order, moved together with the images.
        sampling_weights: how often an epoch shows the rows of a data set (the table's `source`): 2 is twice, 0.5 a new
            half each time; 1 where it is not named. Ignored unless `train`.
        rank, world_size: this process and how many there are. The batches of all processes together are those of one
            process with `batch_size * world_size`, augmentation included.
        threads: batches that are prefetched, each in its own thread.

    Raises:
        ValueError: no row, or fewer rows than processes need for one batch; or an augmentation of the other kind.
    """

    def __init__(
        self,
        store: Store,
        rows: Sequence[int] | NDArray[np.integer],
        tokenizer: Tokenizer | None,
        findings: Sequence[str],
        batch_size: int,
        seed: int = 0,
        train: bool = True,
        *,
        augment: Augment | VolumeAugment | None = None,
        max_tokens: int = 128,
        max_sentences: int = 16,
        max_sentence_tokens: int = 48,
        sections: Sequence[str] = DEFAULT_SECTIONS,
        places: bool = False,
        concepts: bool = False,
        structures: Sequence[str] = (),
        sampling_weights: Mapping[str, float] | None = None,
        rank: int = 0,
        world_size: int = 1,
        threads: int = 2,
    ) -> None:
        self.store, self.rows, self.seed, self.train = store, np.asarray(rows, np.int64), seed, train
        self.augment, self.rank, self.threads = _augment_of(store, augment), rank, threads
        if not len(self.rows):
            raise ValueError(
                f"no rows to load from {store.path}: is the split empty? `medvlp data check` shows what it has"
            )
        if train and len(self.rows) < world_size:
            raise ValueError(f"{len(self.rows)} rows cannot be shared by {world_size} processes")
        self._sources = self._by_source(sampling_weights or {}) if train else [(self.rows, 1.0)]
        self.samples_per_epoch = sum(_repeats(rows, weight) for rows, weight in self._sources)
        self.batch_size = min(batch_size, self.samples_per_epoch // world_size) if train else batch_size
        self.global_batch_size = self.batch_size * world_size
        self.findings = tuple(findings)
        self.states = torch.from_numpy(store.states(self.findings))
        self.texts: TokenizedReports | None = None
        if tokenizer is not None:
            self.texts = TokenizedReports.from_store(
                store,
                store.table["report"].to_numpy()[self.rows],
                tokenizer,
                self.findings,
                sections,
                max_tokens,
                max_sentences,
                max_sentence_tokens,
                places,
                concepts,
            )
        self._has_report = store.table["report"].to_numpy() >= 0
        self._structures = [store.mask_names.index(name) for name in structures]
        self._ids = {k: store.table[k].to_numpy(object) for k in ("image_id", "study_id", "patient_id")}

    def __len__(self) -> int:
        """Batches of an epoch."""
        whole, rest = divmod(self.samples_per_epoch, self.global_batch_size)
        return whole + bool(rest and not self.train)

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The rows in the order in which an epoch shows them."""
        if not self.train:
            return self.rows
        random = np.random.default_rng([self.seed, epoch])
        parts = [np.resize(random.permutation(rows), _repeats(rows, weight)) for rows, weight in self._sources]
        return random.permutation(np.concatenate(parts))

    def _by_source(self, sampling_weights: Mapping[str, float]) -> list[tuple[NDArray[np.int64], float]]:
        """The rows of each data set, and how often an epoch shows them."""
        sources = self.store.table["source"].to_numpy(object)[self.rows]
        unknown = sorted(set(sampling_weights) - set(sources))
        if unknown:
            raise ValueError(f"no row is of {unknown[0]!r}; the rows are of {', '.join(sorted(set(sources)))}")
        return [(self.rows[sources == name], sampling_weights.get(name, 1.0)) for name in sorted(set(sources))]

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from step `start` on, prefetched in threads."""
        order = self.order(epoch)
        steps = range(start, len(self))
        return prefetch(
            lambda step: self._batch(order, epoch, step), steps, max(1, self.threads), self.threads, "batch"
        )

    def _batch(self, order: NDArray[np.int64], epoch: int, step: int) -> Batch:
        together = order[step * self.global_batch_size : (step + 1) * self.global_batch_size]
        mine = slice(self.rank * self.batch_size, (self.rank + 1) * self.batch_size)
        rows = together[mine]
        pixels = self.store.images(rows)
        masks: Any = np.ascontiguousarray(self.store.masks(rows)[:, self._structures]) if self._structures else None
        if self.train:
            random = np.random.default_rng([self.seed, epoch, step, 1])
            draw: Any = self.augment.draw(len(together), random)[mine]
            images = draw.images(pixels)
            masks = None if masks is None else draw.masks(masks)
        else:
            images = torch.from_numpy(pixels)
            masks = None if masks is None else torch.from_numpy(masks)
        return Batch(
            images=self.store.preprocess.normalize(images),
            findings=self.states[rows],
            masks=masks,
            **(self.texts.rows(rows) if self.texts else _no_texts(self._has_report[rows], len(self.findings))),
            image_ids=list(self._ids["image_id"][rows]),
            study_ids=list(self._ids["study_id"][rows]),
            patient_ids=list(self._ids["patient_id"][rows]),
        )


def _no_texts(has_report: NDArray[np.bool_], findings: int) -> dict[Field, Tensor]:
    """The text fields of reports that nobody reads: one token a report, whose mask says whether there is a report."""
    images = len(has_report)
    return {
        "report_tokens": torch.zeros(images, 1, dtype=torch.long),
        "report_mask": torch.from_numpy(has_report)[:, None],
        "sentence_tokens": torch.zeros(images, 0, 0, dtype=torch.long),
        "sentence_mask": torch.zeros(images, 0, 0, dtype=torch.bool),
        "sentence_findings": torch.zeros(images, 0, findings, dtype=torch.int8),
        "text_group": torch.zeros(images, dtype=torch.long),
    }


def _repeats(rows: NDArray[np.int64], weight: float) -> int:
    """How many rows of a data set an epoch shows."""
    return round(len(rows) * weight)


def _augment_of(store: Store, augment: Augment | VolumeAugment | None) -> Augment | VolumeAugment:
    """The augmentation that was asked for, or the default of the store's kind."""
    kind = VolumeAugment if isinstance(store.preprocess, VolumePreprocess) else Augment
    if augment is not None and not isinstance(augment, kind):
        raise ValueError(f"{store.path} needs {kind.__name__}; {type(augment).__name__} is of the other kind")
    return augment or kind()
