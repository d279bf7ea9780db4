import io

import numpy as np
import pandas as pd
import pytest

from medvlp.evaluation.label_scores import LabelScores, check_comparable
from medvlp.tasks import TaskError


def scored(seed: int = 0, unmentioned: str = "ignore") -> LabelScores:
    random = np.random.default_rng(0)
    return LabelScores(
        names=("edema", "pneumothorax"),
        image_ids=np.array([f"i{i}" for i in range(30)], object),
        patient_ids=np.array([f"p{i // 2}" for i in range(30)], object),
        scores=np.random.default_rng(seed).random((30, 2), np.float32),
        states=random.choice([-1, 0, 1, 2], size=(30, 2)).astype(np.int8),
        protocol={"unmentioned": unmentioned},
        notice="made up",
    )


def test_a_table_gives_back_every_bit() -> None:
    before = scored()
    text = before.table().to_csv(index=False)
    table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    after = LabelScores.from_table(table, before.protocol, before.notice)
    assert after.names == before.names
    for field in ("scores", "states", "image_ids", "patient_ids", "truth", "known"):
        np.testing.assert_array_equal(getattr(after, field), getattr(before, field))


def test_only_stated_findings_count_unless_told_otherwise() -> None:
    states = scored().states
    np.testing.assert_array_equal(scored().known, np.isin(states, [0, 1]))
    np.testing.assert_array_equal(scored(unmentioned="negative").known, states != 2)


def test_other_images_or_labels_are_not_compared() -> None:
    first, other = scored(), scored(1)
    check_comparable(first, other)
    with pytest.raises(TaskError, match="different images"):
        check_comparable(first, LabelScores(**vars(other) | {"image_ids": other.image_ids[::-1]}))
    with pytest.raises(TaskError, match="different labels"):
        check_comparable(first, LabelScores(**vars(other) | {"states": other.states[::-1]}))


def test_the_same_positives_among_other_negatives_are_other_labels() -> None:
    first, other = scored(), scored(1)
    fewer = np.where(other.states == 0, -1, other.states).astype(np.int8)
    for second in (scored(1, unmentioned="negative"), LabelScores(**vars(other) | {"states": fewer})):
        np.testing.assert_array_equal(second.truth, first.truth)
        with pytest.raises(TaskError, match="different labels"):
            check_comparable(first, second)


def test_findings_without_both_are_left_out_and_none_at_all_is_refused() -> None:
    before = scored()
    states = before.states.copy()
    states[:, 1] = 1
    assert LabelScores(**vars(before) | {"states": states}).one_sided() == {
        "pneumothorax": "30 positives and 0 negatives are known"
    }
    with pytest.raises(TaskError, match="both a positive and a negative"):
        LabelScores(**vars(before) | {"states": np.ones_like(states)}).one_sided()
