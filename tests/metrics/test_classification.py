import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, roc_auc_score

from medvlp.metrics import auroc, average_precision, macro_auroc, roc_curve
from medvlp.metrics.classification import FALSE_POSITIVE_RATES


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    truth = rng.random(300) < 0.3
    scores = np.round(truth * 0.4 + rng.normal(size=300), 1)  # one decimal: many ties
    return truth, scores, rng.integers(0, 4, size=(300, 7)).astype(float)


def test_hand_values():
    assert auroc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]) == 0.75
    assert auroc([0, 1], [0.5, 0.5]) == 0.5
    assert average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]) == pytest.approx((1 + 2 / 3) / 2)


def test_agrees_with_scikit_learn_under_ties_and_weights(rows):
    truth, scores, weights = rows
    assert auroc(truth, scores) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    assert average_precision(truth, scores) == pytest.approx(average_precision_score(truth, scores), abs=1e-12)
    np.testing.assert_allclose(
        auroc(truth, scores, weights), [roc_auc_score(truth, scores, sample_weight=w) for w in weights.T], atol=1e-12
    )
    np.testing.assert_allclose(
        average_precision(truth, scores, weights),
        [average_precision_score(truth, scores, sample_weight=w) for w in weights.T],
        atol=1e-12,
    )


@given(hnp.arrays(bool, st.integers(2, 30)), st.data())
def test_is_the_share_of_pairs_in_order(truth, data):
    scores = data.draw(hnp.arrays(np.int8, len(truth), elements=st.integers(0, 4)))
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[truth] for n in scores[~truth]]
    value = auroc(truth, scores)
    assert np.isnan(value) if not pairs else value == pytest.approx(np.mean(pairs))


def test_undefined_is_nan_and_not_one_half():
    assert np.isnan(auroc([1, 1], [0.1, 0.2]))
    assert np.isnan(average_precision([0, 0], [0.1, 0.2]))
    assert np.isnan(auroc([], []))
    weights = np.array([[1, 1], [1, 0], [1, 2]])  # the second resample has no negative
    assert np.isnan(auroc([1, 0, 1], [0.1, 0.2, 0.3], weights)).tolist() == [False, True]


def test_a_score_of_nan_is_refused():
    with pytest.raises(ValueError, match="1 of 2 scores are NaN"):
        auroc([0, 1], [np.nan, 0.3])


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"both \[N\]"):
        auroc([0, 1, 1], [0.1, 0.3])
    with pytest.raises(ValueError, match="N = 2"):
        auroc([0, 1], [0.1, 0.3], np.ones(3))


def test_macro_ignores_unknown_cells_and_is_undefined_with_any_finding(rows):
    truth, scores, _ = rows
    two = np.stack([truth, ~truth], 1)
    both = np.stack([scores, scores], 1)
    known = np.ones_like(two)
    assert macro_auroc(two, both, known) == pytest.approx(0.5)
    known[:150, 1] = False
    expected = (roc_auc_score(truth, scores) + roc_auc_score(~truth[150:], scores[150:])) / 2
    assert macro_auroc(two, both, known) == pytest.approx(expected)
    known[truth, 0] = False
    assert np.isnan(macro_auroc(two, both, known))


def test_the_curve_passes_the_corners_and_holds_the_area(rows):
    truth, scores, weights = rows
    curve = roc_curve(truth, scores)
    assert (curve[0], curve[-1]) == (0, 1)
    assert (np.diff(curve) >= 0).all()
    assert np.trapezoid(curve, FALSE_POSITIVE_RATES) == pytest.approx(roc_auc_score(truth, scores), abs=0.01)
    many = roc_curve(truth, scores, weights)
    np.testing.assert_allclose(many[:, 2], roc_curve(truth, scores, weights[:, 2]))


def test_a_perfect_ranking_gives_a_curve_at_one():
    assert roc_curve([0, 0, 1], [1, 2, 3])[1:].tolist() == [1.0] * 100
