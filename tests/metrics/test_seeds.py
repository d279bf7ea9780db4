import numpy as np
import pytest
from scipy import stats

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


def test_three_runs_on_patients_that_do_not_matter_have_the_t_interval() -> None:
    """By hand: 0.7, 0.8, 0.9 have s = 0.1, and t(0.975, 2) = 4.3027, so 0.8 ± 4.3027 * 0.1 / sqrt(3)."""
    values = np.array([0.7, 0.8, 0.9])
    found = estimate_over_seeds(values, np.repeat(values[:, None], 4000, 1), 50)
    assert found.value == pytest.approx(0.8)
    assert [found.low, found.high] == pytest.approx([0.8 - 0.24841, 0.8 + 0.24841], rel=0.01)


@pytest.mark.parametrize("runs", [2, 3, 5])
@pytest.mark.parametrize(("of_patients", "of_runs"), [(1.0, 0.0), (1.0, 1.0), (0.3, 1.0), (0.0, 1.0)])
def test_the_interval_holds_the_truth_as_often_as_it_says(runs: int, of_patients: float, of_runs: float) -> None:
    """Other patients and other runs, 400 times; 0.92 is 2.8 standard errors below 0.95. Drawing runs: 0.64 to 0.9."""
    random = np.random.default_rng(1)
    held = []
    for i in range(400):
        patients = random.normal(0, of_patients) if of_patients else 0.0
        values = patients + random.normal(0, of_runs, runs)
        resampled = values[:, None] + random.normal(0, of_patients, 400)
        found = estimate_over_seeds(values, resampled, 50, seed=i)
        held.append(found.low <= 0 <= found.high)
    assert np.mean(held) >= 0.92


def test_equals_a_slow_loop() -> None:
    random = np.random.default_rng(2)
    resampled = random.normal(0.7, 0.1, (4, 300))
    values = random.normal(0.7, 0.1, 4)
    spread = (sum((v - sum(values) / 4) ** 2 for v in values) / 3) ** 0.5
    quantiles = [stats.t.ppf((r + 0.5) / 300, 3) for r in range(300)]
    order = np.random.default_rng(5).permutation(300)
    slow = [sum(resampled[s, r] for s in range(4)) / 4 + quantiles[order[r]] * spread / 2 for r in range(300)]
    found = estimate_over_seeds(values, resampled, 20, seed=5)
    assert [found.low, found.high] == pytest.approx(np.percentile(slow, (2.5, 97.5)), abs=1e-9)


def test_an_interval_ends_where_the_metric_does() -> None:
    values = np.array([0.96, 0.99, 1.0])
    resampled = np.repeat(values[:, None], 400, 1)
    assert estimate_over_seeds(values, resampled, 20).high > 1
    assert estimate_over_seeds(values, resampled, 20, bounds=(0, 1)).high == 1


def test_differences_of_equal_methods_are_zero_and_draws_depend_on_the_seed_alone() -> None:
    a = np.random.default_rng(3).normal(0.8, 0.1, (3, 500))
    same = estimate_over_seeds(np.zeros(3), a - a, 20)
    assert (same.low, same.high) == (0, 0)
    assert estimate_over_seeds(a.mean(1), a, 20, seed=1) == estimate_over_seeds(a.mean(1), a, 20, seed=1)
    assert estimate_over_seeds(a.mean(1), a, 20, seed=1) != estimate_over_seeds(a.mean(1), a, 20, seed=2)


def test_undefined_resamples_are_counted() -> None:
    a = np.full((2, 10), 0.5)
    a[:, 3] = np.nan
    found = estimate_over_seeds([0.5, 0.5], a, 40)
    assert (found.low, found.high, found.skipped) == (0.5, 0.5, 1)


def test_spread_between_runs() -> None:
    assert seed_spread([0.7, 0.8, 0.9]) == pytest.approx(0.1)
    assert np.isnan(seed_spread([0.7]))
