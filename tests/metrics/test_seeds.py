import numpy as np
import pytest

from medvlp.metrics import estimate_over_seeds, seed_spread


def test_one_run_has_the_interval_of_its_patients() -> None:
    resampled = np.random.default_rng(0).normal(0.8, 0.1, (1, 4000))
    found = estimate_over_seeds([0.8], resampled, 50)
    assert (found.value, found.n) == (0.8, 50)
    assert [found.low, found.high] == pytest.approx(np.percentile(resampled, (2.5, 97.5)))


def test_runs_that_agree_add_nothing_to_the_interval_of_patients() -> None:
    patients = np.random.default_rng(0).normal(0.8, 0.1, 4000)
    found = estimate_over_seeds([0.8] * 3, np.stack([patients] * 3), 50)
    assert [found.low, found.high] == pytest.approx(np.percentile(patients, (2.5, 97.5)))


def test_variance_of_the_mean_over_runs_is_not_biased_by_their_number() -> None:
    """Patients that do not matter: what is left is the spread of the mean of three seeds, s^2 / 3 on average."""
    random = np.random.default_rng(1)
    variances = []
    for i in range(400):
        values = random.normal(0.8, 0.05, 3)
        found = estimate_over_seeds(values, np.repeat(values[:, None], 400, 1), 50, seed=i)
        assert found.low <= values.mean() <= found.high
        drawn = values[np.random.default_rng([i, 3]).integers(3, size=(3, 400))].mean(0)
        variances.append(np.var(drawn) * 3 / 2)
    assert np.mean(variances) == pytest.approx(0.05**2 / 3, rel=0.15)


def test_equals_a_slow_loop() -> None:
    random = np.random.default_rng(2)
    resampled = random.normal(0.7, 0.1, (4, 300))
    drawn = np.random.default_rng([5, 4]).integers(4, size=(4, 300))
    slow = []
    for r in range(300):
        mean = sum(resampled[s, r] for s in range(4)) / 4
        chosen = sum(resampled[drawn[k, r], r] for k in range(4)) / 4
        slow.append(mean + (4 / 3) ** 0.5 * (chosen - mean))
    found = estimate_over_seeds(resampled.mean(1), resampled, 20, seed=5)
    assert [found.low, found.high] == pytest.approx(np.percentile(slow, (2.5, 97.5)), abs=1e-12)


def test_differences_of_equal_methods_are_zero_and_draws_depend_on_the_seed_alone() -> None:
    a = np.random.default_rng(3).normal(0.8, 0.1, (3, 500))
    same = estimate_over_seeds(np.zeros(3), a - a, 20)
    assert (same.low, same.high) == (0, 0)
    assert estimate_over_seeds(a.mean(1), a, 20, seed=1) == estimate_over_seeds(a.mean(1), a, 20, seed=1)
    assert estimate_over_seeds(a.mean(1), a, 20, seed=1) != estimate_over_seeds(a.mean(1), a, 20, seed=2)


def test_undefined_resamples_are_counted() -> None:
    a = np.full((2, 10), 0.5)
    a[:, 3] = np.nan
    found = estimate_over_seeds([0.5, 0.5], a, 4)
    assert (found.low, found.high, found.skipped) == (0.5, 0.5, 1)


def test_spread_between_runs() -> None:
    assert seed_spread([0.7, 0.8, 0.9]) == pytest.approx(0.1)
    assert np.isnan(seed_spread([0.7]))
