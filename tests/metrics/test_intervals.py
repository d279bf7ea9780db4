import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medvlp.metrics import (
    Estimate,
    auroc,
    bootstrap_by_patient,
    bootstrap_values,
    estimate_over_seeds,
    image_mean,
    interval_unknown,
    macro_auroc,
    paired_difference,
    roc_curve,
)
from medvlp.metrics import intervals as module


@pytest.fixture
def cohort():
    rng = np.random.default_rng(1)
    patients = np.repeat([f"p{i}" for i in range(60)], rng.integers(1, 5, 60))
    truth = rng.random(len(patients)) < 0.4
    return patients, truth, truth + rng.normal(size=len(patients)), truth * 0.3 + rng.normal(size=len(patients))


def test_equals_the_slow_bootstrap_that_copies_rows(cohort):
    patients, truth, scores, _ = cohort
    fast = bootstrap_values(auroc, patients, truth, scores, n=40, seed=5)
    names = np.unique(patients)
    drawn = np.random.default_rng(5).integers(len(names), size=(40, len(names)))
    slow = []
    for draw in drawn:
        rows = np.concatenate([np.flatnonzero(patients == names[i]) for i in draw])
        slow.append(roc_auc_score(truth[rows], scores[rows]))
    np.testing.assert_allclose(fast, slow, atol=1e-12)


def test_interval_holds_the_value_and_does_not_depend_on_block_size(cohort, monkeypatch):
    patients, truth, scores, _ = cohort
    whole = bootstrap_by_patient(auroc, patients, truth, scores, n=200, seed=3)
    assert whole.low < whole.value < whole.high
    assert whole.value == pytest.approx(roc_auc_score(truth, scores))
    assert (whole.n, whole.skipped) == (60, 0)
    monkeypatch.setattr(module, "_CELLS", 7 * len(patients))
    assert bootstrap_by_patient(auroc, patients, truth, scores, n=200, seed=3) == whole
    assert bootstrap_by_patient(auroc, patients, truth, scores, n=200, seed=4) != whole


def test_interval_of_a_mean_has_the_width_of_theory():
    rng = np.random.default_rng(0)
    values = rng.normal(size=400)
    got = bootstrap_by_patient(image_mean, np.arange(400), values, n=2000)
    half = 1.96 * values.std() / 20
    assert (got.high - got.low) / 2 == pytest.approx(half, rel=0.1)


def test_images_of_one_patient_do_not_narrow_the_interval():
    rng = np.random.default_rng(0)
    values = rng.normal(size=50)
    once = bootstrap_by_patient(image_mean, np.arange(50), values)
    ten_each = bootstrap_by_patient(image_mean, np.repeat(np.arange(50), 10), np.repeat(values, 10))
    assert (ten_each.low, ten_each.high) == pytest.approx((once.low, once.high))


def test_undefined_resamples_are_skipped_and_counted():
    got = bootstrap_by_patient(auroc, ["a", "b", "c"], [1, 0, 0], [0.9, 0.1, 0.2], n=500)
    assert 100 < got.skipped < 400  # 8/27 lack the positive, 1/27 hold it alone
    assert got.value == 1
    assert np.isnan([got.low, got.high]).all()  # three patients tell nothing of the interval
    nothing = bootstrap_by_patient(auroc, ["a", "b"], [0, 0], [0.9, 0.1], n=10)
    assert nothing.skipped == 10
    assert np.isnan([nothing.value, nothing.low, nothing.high]).all()


def test_a_pair_is_compared_on_the_same_patients(cohort):
    patients, truth, good, bad = cohort
    same = paired_difference(auroc, patients, (truth, good), (truth, good))
    assert (same.value, same.low, same.high) == (0, 0, 0)
    better = paired_difference(auroc, patients, (truth, good), (truth, bad), seed=2)
    assert better.value == pytest.approx(roc_auc_score(truth, good) - roc_auc_score(truth, bad))
    assert 0 < better.low < better.value < better.high
    worse = paired_difference(auroc, patients, (truth, bad), (truth, good), seed=2)
    assert (worse.low, worse.high) == pytest.approx((-better.high, -better.low))


def test_curves_resample_point_by_point(cohort):
    patients, truth, scores, _ = cohort
    assert bootstrap_values(roc_curve, patients, truth, scores, n=12).shape == (101, 12)


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="2 patient ids"):
        bootstrap_by_patient(auroc, ["a", "b"], [1, 0, 0], [0.9, 0.1, 0.2])


def test_an_interval_from_a_single_positive_is_unknown():
    """AUROC 1.00 [1.00, 1.00] from one positive would look certain and is not known at all."""
    truth, scores = np.arange(20) == 19, np.arange(20.0)
    one = bootstrap_by_patient(auroc, range(20), truth, scores, n=50)
    assert (str(one), one.interval_unknown) == (
        "1.00 interval unknown (1 patient with a positive)",
        "1 patient with a positive",
    )
    assert one.to_json() == {
        "value": 1.0,
        "low": None,
        "high": None,
        "n": 20,
        "skipped": one.skipped,
        "interval_unknown": "1 patient with a positive",
    }
    assert bootstrap_by_patient(auroc, range(20), ~truth, scores).interval_unknown == "1 patient with a negative"
    assert bootstrap_by_patient(auroc, range(20), np.arange(20) >= 15, scores, n=50).interval_unknown == ""
    assert bootstrap_by_patient(auroc, range(20), np.arange(20) >= 16, scores, n=50).interval_unknown != ""
    difference = paired_difference(auroc, range(20), (truth, scores), (truth, -scores), n=50)
    assert str(difference) == "1.00 interval unknown (1 patient with a positive)"


def test_positives_of_one_patient_count_once():
    patients = np.repeat(range(6), 10)
    got = bootstrap_by_patient(auroc, patients, patients == 5, np.arange(60.0), n=50)
    assert got.interval_unknown == "1 patient with a positive"


def test_a_mean_rests_on_the_patients_that_have_a_value():
    values = np.full(30, np.nan)
    values[:3] = 0.9
    assert bootstrap_by_patient(image_mean, range(30), values, n=20).interval_unknown == "3 patients with a value"
    assert bootstrap_by_patient(image_mean, range(4), np.ones(4), n=20).interval_unknown == "4 patients"
    assert estimate_over_seeds([0.5], np.full((1, 9), 0.5), 3).interval_unknown == "3 patients"


def test_a_macro_average_rests_on_the_positives_of_all_findings():
    truth = np.eye(20, 2, dtype=bool)
    columns = (truth, np.arange(40.0).reshape(20, 2), np.ones((20, 2), bool))
    assert interval_unknown(macro_auroc, range(20), *columns) == "2 patients with a positive"
    truth[2:5] = True
    assert interval_unknown(macro_auroc, range(20), *columns) == ""


def test_text_form():
    assert str(Estimate(0.912, 0.8751, 0.9449, n=40)) == "0.91 [0.88, 0.94]"
    assert Estimate(0.912, 0.8751, 0.9449, n=40).text(1, 100) == "91.2 [87.5, 94.5]"
    nan = float("nan")
    assert str(Estimate(nan, nan, nan, 0)) == "undefined"
    assert Estimate(nan, 0.5, 0.7, 3, 2).to_json() == {"value": None, "low": 0.5, "high": 0.7, "n": 3, "skipped": 2}
