"""Batches against a slow reading of the same store; order and augmentation depend on seed, epoch and step alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from medvlp.data import Augment, Batch, BatchLoader, Manifest, Preprocess, Store, prepare
from medvlp.data.report_table import ReportTable, report_row, write_reports
from medvlp.data.tokenized_reports import TokenTable, _places

FINDINGS = ["pleural_effusion", "pneumothorax", "pneumonia", "cardiomegaly"]


def words(texts: Sequence[str], max_length: int) -> tuple[np.ndarray, np.ndarray]:
    """A tokenizer: one number a word (its length), 99 before the first, 7 as padding."""
    rows = [[99, *(len(w) for w in t.split())][:max_length] for t in texts]
    width = max(map(len, rows))
    return (
        np.array([r + [7] * (width - len(r)) for r in rows]),
        np.array([[True] * len(r) + [False] * (width - len(r)) for r in rows]),
    )


def loader(store: Store, **options: object) -> BatchLoader:
    settings = {"batch_size": 3, "train": False, "places": True} | options
    return BatchLoader(store, store.rows(), words, FINDINGS, **settings)  # type: ignore[arg-type]


def test_evaluation_batches_are_the_store_in_order(small_store: Store) -> None:
    batches = list(loader(small_store).epoch(0))
    assert [len(b) for b in batches] == [3, 3, 1] == [3, 3, 1]
    assert len(loader(small_store)) == 3
    images = torch.cat([b.images for b in batches])
    assert images.shape == (7, 1, 32, 32)
    expected = (small_store.images(small_store.rows()) / 255 - 0.5) / 0.25
    np.testing.assert_allclose(images[:, 0].numpy(), expected, atol=1e-5)
    assert [i for b in batches for i in b.image_ids] == small_store.table["image_id"].tolist()
    assert torch.cat([b.findings for b in batches]).tolist() == small_store.states(FINDINGS).tolist()


def test_texts_of_a_batch(small_store: Store) -> None:
    batch = next(iter(loader(small_store, batch_size=7).epoch(0)))
    report = "There is a small left pleural effusion. No pneumothorax. Small left pleural effusion."
    lengths = [99, *(len(w) for w in report.split())]
    assert batch.report_tokens[0][batch.report_mask[0]].tolist() == lengths
    assert not batch.report_mask[4].any()  # an image without report
    assert (batch.report_tokens[~batch.report_mask] == 7).all()
    assert batch.sentence_mask.any(-1).sum(1).tolist() == [3, 3, 4, 4, 0, 2, 2]
    assert batch.sentence_tokens[0, 1][batch.sentence_mask[0, 1]].tolist() == [99, 2, 13]
    assert batch.sentence_findings[0, :3].tolist() == [[1, -1, -1, -1], [-1, 0, -1, -1], [1, -1, -1, -1]]
    assert batch.sentence_findings[2, :4].tolist() == [[-1] * 4, [0, -1, -1, -1], [-1, 0, -1, -1], [-1] * 4]
    assert (batch.sentence_findings[4] == -1).all()
    groups = batch.text_group.tolist()
    assert (groups[0] == groups[1], groups[2] == groups[3], groups[5] == groups[6]) == (True, True, True)
    assert len(set(groups)) == 4


def test_a_store_without_any_report_gives_images_and_labels(small_manifest: Manifest, tmp_path: Path) -> None:
    table = small_manifest.table.assign(report="", pneumonia="1")
    store = prepare(Manifest(table, generated=True), tmp_path / "store", Preprocess(size=32), workers=0)
    batch = next(iter(loader(store, batch_size=7).epoch(0)))
    assert len(store.reports) == 0
    assert not batch.report_mask.any()
    assert not batch.sentence_mask.any()
    assert (batch.sentence_findings == -1).all()
    assert len(set(batch.text_group.tolist())) == 7  # each is alone
    assert (batch.findings[:, FINDINGS.index("pneumonia")] == 1).all()


def test_places_of_a_batch(small_store: Store) -> None:
    from medvlp.knowledge import PLACES

    batch = next(iter(loader(small_store, batch_size=7).epoch(0)))
    assert batch.places is not None
    assert batch.places.shape == (7, 4, 51)
    expected = np.full((4, 51), -1)
    for mention in small_store.reports[0].mentions:  # none of its sentences contradicts another
        if mention.place:
            expected[FINDINGS.index(mention.finding), PLACES.index(mention.place)] = mention.assertion == "present"
    assert expected[0, PLACES.index("left_pleural")] == 1
    assert batch.places[0].tolist() == expected.tolist()
    assert (batch.places[4] == -1).all()
    plain = next(iter(loader(small_store, places=False).epoch(0)))
    assert plain.places is None


def test_sentences_and_tokens_are_cut(small_store: Store) -> None:
    batch = next(iter(loader(small_store, batch_size=7, max_tokens=4, max_sentences=2, max_sentence_tokens=3).epoch(0)))
    assert batch.report_tokens.shape == (7, 4)
    assert batch.sentence_tokens.shape == (7, 2, 3)


def equal(a: Batch, b: Batch) -> bool:
    return (
        a.image_ids == b.image_ids and torch.equal(a.images, b.images) and torch.equal(a.report_tokens, b.report_tokens)
    )


def test_training_is_a_function_of_seed_epoch_and_step(small_store: Store) -> None:
    one = list(loader(small_store, train=True, seed=5).epoch(3))
    same = list(loader(small_store, train=True, seed=5, threads=4).epoch(3))
    assert len(one) == 2
    assert all(equal(a, b) for a, b in zip(one, same, strict=True))
    resumed = list(loader(small_store, train=True, seed=5).epoch(3, start=1))
    assert len(resumed) == 1
    assert equal(resumed[0], one[1])
    for other in (loader(small_store, train=True, seed=6).epoch(3), loader(small_store, train=True, seed=5).epoch(4)):
        assert not torch.equal(next(iter(other)).images, one[0].images)


def test_processes_share_the_batches_of_one(small_store: Store) -> None:
    alone = list(loader(small_store, train=True, batch_size=2).epoch(0))
    shared = [list(loader(small_store, train=True, batch_size=1, rank=r, world_size=2).epoch(0)) for r in (0, 1)]
    for step, batch in enumerate(alone):
        assert batch.image_ids == shared[0][step].image_ids + shared[1][step].image_ids
        assert torch.equal(batch.images, torch.cat([s[step].images for s in shared]))


def test_rates_repeat_and_thin_out_data_sets(small_store: Store) -> None:
    sources = small_store.table["source"].to_numpy()
    rows = np.arange(len(small_store))
    first, second = np.flatnonzero(sources == "a"), np.flatnonzero(sources == "b")
    rated = loader(small_store, batch_size=1, train=True, sampling_weights={"a": 2, "b": 0.5})
    order = rated.order(0)
    assert np.bincount(order, minlength=len(rows))[first].tolist() == [2] * len(first)
    assert np.isin(order, second).sum() == round(len(second) / 2)
    assert len(rated) == len(order)
    halves = [set(rated.order(epoch)) & set(second.tolist()) for epoch in range(8)]
    assert len(set.union(*halves)) == len(second)
    with pytest.raises(ValueError, match="no row is of 'c'; the rows are of a, b"):
        loader(small_store, train=True, sampling_weights={"c": 1})


def test_small_and_empty_row_sets(small_store: Store) -> None:
    few = BatchLoader(small_store, [1, 2], words, FINDINGS, batch_size=64)
    assert [len(b) for b in few.epoch(0)] == [2]
    with pytest.raises(ValueError, match="no rows to load"):
        BatchLoader(small_store, [], words, FINDINGS, batch_size=2)


def test_unused_iterator_is_given_up_quietly(small_store: Store) -> None:
    batches = loader(small_store, batch_size=1).epoch(0)
    next(iter(batches))
    batches.close()  # type: ignore[attr-defined]


def test_token_table_gathers_what_the_tokenizer_gave() -> None:
    texts = ["a bb", "", "ccc dd e f", "a bb"]
    table = TokenTable.from_texts(texts, words, 4)
    ids, mask = table.gather(np.array([[2, 0], [1, -1]]))
    assert ids.tolist() == [[[99, 3, 2, 1], [99, 1, 2, 7]], [[7] * 4, [7] * 4]]
    assert mask.sum(-1).tolist() == [[4, 3], [0, 0]]
    assert len(table.tokens) == 3 + 0 + 4 + 3


def test_no_augmentation_is_the_identity() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16), np.uint8)
    nothing = Augment(area=(1, 1), stretch=0, degrees=0, brightness=0, contrast=0, gamma=0, noise=0)
    made = nothing.draw(2, np.random.default_rng(0)).images(pixels)
    np.testing.assert_allclose(made.numpy(), pixels / 255, atol=1e-5)


def test_augmentation_keeps_left_and_right() -> None:
    pixels = np.zeros((64, 32, 32), np.uint8)
    pixels[:, :, :16] = 255  # white on the left
    made = Augment().draw(64, np.random.default_rng(1)).images(pixels)
    assert (made[:, 8:24, 2:6].mean((1, 2)) > made[:, 8:24, 26:30].mean((1, 2)) + 0.3).all()


def test_masks_move_with_their_images() -> None:
    masks = np.zeros((16, 1, 64, 64), np.uint8)
    masks[:, 0, 20:40, 12:30] = 1
    draw = Augment(brightness=0, contrast=0, gamma=0, noise=0).draw(16, np.random.default_rng(2))
    moved, images = draw.masks(masks), draw.images(masks[:, 0] * 255)
    assert float((moved[:, 0] != (images > 0.5)).float().mean()) < 0.02
    assert set(moved.unique().tolist()) == {0, 1}
    assert len({int(m.sum()) for m in moved}) > 4


def test_tone_and_noise_are_as_strong_as_they_say() -> None:
    pixels = np.full((256, 32, 32), 128, np.uint8)
    still = {"area": (1.0, 1.0), "stretch": 0.0, "degrees": 0.0, "gamma": 0.0, "contrast": 0.0}
    bright = Augment(**still, brightness=0.2, noise=0).draw(256, np.random.default_rng(3)).images(pixels).mean((1, 2))
    assert float((bright - 128 / 255).abs().max()) == pytest.approx(0.2, abs=0.01)
    noisy = Augment(**still, brightness=0, noise=0.1).draw(256, np.random.default_rng(3)).images(pixels)
    assert float(noisy.std((1, 2)).max()) == pytest.approx(0.1, abs=0.01)
    assert float(noisy.mean()) == pytest.approx(128 / 255, abs=0.003)


def test_one_image_looks_otherwise_in_each_epoch_and_step(small_store: Store) -> None:
    alone = BatchLoader(small_store, [0], words, FINDINGS, 1, train=True, sampling_weights={"a": 2})
    seen = [batch.images for epoch in (0, 1) for batch in alone.epoch(epoch)]
    assert len(seen) == 4
    assert all(not torch.equal(seen[i], seen[j]) for i in range(4) for j in range(i))


STILL = {"area": (1.0, 1.0), "stretch": 0.0, "degrees": 0.0}


def test_images_of_a_batch_have_noise_of_their_own() -> None:
    noise = Augment(**STILL, brightness=0, contrast=0, gamma=0, noise=0.1)
    pixels = np.full((2, 64, 64), 128, np.uint8)
    first, second = noise.draw(2, np.random.default_rng(0)).images(pixels).flatten(1)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1


def test_the_letterbox_stays_black() -> None:
    pixels = np.full((32, 16, 16), 1, np.uint8)
    pixels[:, :, :6] = 0
    made = Augment(**STILL, brightness=0.3, contrast=0.3, noise=0).draw(32, np.random.default_rng(0)).images(pixels)
    assert float(made[:, :, :5].max()) == 0
    assert float(made[:, :, 7:].amax((1, 2)).max()) > 0.1


def test_the_window_stays_inside_of_the_image() -> None:
    draw = Augment(area=(0.3, 0.5), stretch=1.0, degrees=0).draw(500, np.random.default_rng(0))
    half_w, half_h, shift_x, shift_y = draw.affine[:, [0, 4, 2, 5]].T
    for half, shift in ((half_w, shift_x), (half_h, shift_y)):
        assert ((half <= 1) <= (half + np.abs(shift) <= 1 + 1e-5)).all()
        assert (half + np.abs(shift)).max() > 0.99  # up to its edge


def test_where_sentences_disagree_on_a_place_the_stronger_holds(tmp_path: Path) -> None:
    from medvlp.knowledge import PLACES

    reports = [
        "No left pleural effusion. Possible left pleural effusion.",
        "Possible left pleural effusion. No left pleural effusion.",
        "Left pleural effusion. Possible left pleural effusion.",
    ]
    write_reports([report_row((text, None)) for text in reports], tmp_path / "reports.parquet")
    states = _places(ReportTable([tmp_path / "reports.parquet"]), ["pleural_effusion"])
    assert states[:, 0, PLACES.index("left_pleural")].tolist() == [2, 2, 1, -1]
