"""Several methods with several seeds on the same held-out patients: all figures and differences, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medvlp.evaluation.label_scores import check_comparable
from medvlp.evaluation.measured_run import MeasuredRun
from medvlp.evaluation.result import Result, estimate_columns
from medvlp.metrics import (
    Estimate,
    bootstrap_values,
    estimate_over_seeds,
    finding_aurocs,
    group_mean,
    image_mean,
    interval_unknown,
    macro_auroc,
    seed_spread,
)

_SHARE = (0.0, 1.0)  # where AUROC, precision and the pointing game end
_DOUBT = 0.05  # share of resamples without a figure that is worth a remark


@dataclass(frozen=True)
class MethodFigures:
    """One method. Estimates are means over its seeds; their intervals hold patients and seeds (`estimate_over_seeds`).

    Attributes:
        seeds: that ended well -> their macro AUROC.
        macro, findings, large: AUROC, over all findings, of each one, and over the large ones (None: none are named).
        spread: standard deviation of the macro AUROC between seeds; NaN for one seed.
        above_reference, above_baseline: macro AUROC minus that of the reference and of the unimodal baseline, on the
            same patients, seed by seed; None for the method itself and where no seed is shared.
        precision, precision_chance: finding precision@5 of retrieved reports, and what a random order reaches.
        pointing, pointing_blind: pointing game over the findings with boxes, and what pointing blindly reaches.
        samples, seconds: of one run, mean over seeds; samples_per_second, parameters (trainable).
    """

    seeds: dict[int, float]
    macro: Estimate
    spread: float
    findings: dict[str, Estimate]
    large: Estimate | None
    above_reference: Estimate | None
    above_baseline: Estimate | None
    precision: Estimate | None
    precision_chance: Estimate | None
    pointing: Estimate | None
    pointing_blind: Estimate | None
    samples: float
    seconds: float
    samples_per_second: float
    parameters: int


@dataclass(frozen=True, eq=False, kw_only=True)
class ComparisonResult(Result):
    """The table of a comparison.

    Attributes:
        methods: name -> figures, in the order given.
        failed: name -> seed -> why there is no figure.
        reference, baseline: names of the methods that the others are held against; None where they have no figure.
    """

    task: str = "comparison"
    methods: dict[str, MethodFigures]
    failed: dict[str, dict[int, str]]
    reference: str | None
    baseline: str | None

    def figures_by_name(self) -> dict[str, Any]:
        return {
            "reference": self.reference,
            "baseline": self.baseline,
            "methods": {name: vars(figures) for name, figures in self.methods.items()},
            "failed": self.failed,
        }

    def summary(self) -> tuple[list[str], list[list[Any]]]:
        """Headings and rows: the best macro AUROC first, then the methods without any figure."""
        pairs = self.differences()
        head = ["method", "macro AUROC", "between seeds", *pairs]
        clock = len({round(f.samples) for f in self.methods.values()}) > 1  # a budget of minutes: some see more
        head += ["precision@5", "pointing game", *(["samples"] if clock else []), "samples/s"]
        head += ["parameters (M)", "minutes a run", "seeds"]
        rows: list[list[Any]] = []
        for name in self.ranked():
            f = self.methods[name]
            spread = None if np.isnan(f.spread) else round(f.spread, 3)
            differences = [getattr(f, field) for field in pairs.values()]
            size = [round(f.samples_per_second), round(f.parameters / 1e6, 2), round(f.seconds / 60, 2), len(f.seeds)]
            seen = [round(f.samples)] if clock else []
            rows.append([name, f.macro, spread, *differences, f.precision, f.pointing, *seen, *size])
        missing = [name for name in self.failed if name not in self.methods]
        return head, rows + [[name, "missing", *[None] * (len(head) - 2)] for name in missing]

    def differences(self) -> dict[str, str]:
        """Heading -> field of `MethodFigures`, for the reference and the baseline where they have figures."""
        pairs = ((self.reference, "above_reference"), (self.baseline, "above_baseline"))
        return {f"above {name}": field for name, field in pairs if name is not None}

    @property
    def over_seeds(self) -> bool:
        """Whether any interval holds seeds beside patients."""
        return any(len(f.seeds) > 1 for f in self.methods.values())

    def ranked(self) -> list[str]:
        """The methods that have figures, best macro AUROC first."""
        return sorted(self.methods, key=lambda name: -self.methods[name].macro.value)

    def remarks(self) -> list[str]:
        return [*self.failures(), *self.doubts()]

    def failures(self) -> list[str]:
        """Why runs have no figure; seeds that failed alike share a line."""
        lines = []
        for name, reasons in self.failed.items():
            for reason in dict.fromkeys(reasons.values()):
                seeds = [str(seed) for seed, said in reasons.items() if said == reason]
                lines.append(f"{name}, {'seed' if len(seeds) == 1 else 'seeds'} {', '.join(seeds)}: {reason}")
        return lines

    def doubts(self) -> list[str]:
        """Which intervals say less than they seem to: those of a single run, and those of few resamples."""
        total, skipped = self.protocol["resamples"], max(f.macro.skipped for f in self.methods.values())
        single = [name for name, f in self.methods.items() if len(f.seeds) == 1]
        found = []
        if single and len(single) < len(self.methods):
            found.append(f"One run alone, so the intervals hold patients and no seeds: {', '.join(single)}.")
        if skipped > _DOUBT * total:
            found.append(
                f"{skipped:,} of {total:,} resamples left a finding without a positive or a negative patient and do "
                "not count: too few patients have the rarest findings for a macro interval that can be trusted."
            )
        return found

    def tables(self) -> dict[str, pd.DataFrame]:
        """`compare.csv`: one row a method; estimates as three columns."""
        rows: list[dict[str, Any]] = []
        for name in dict.fromkeys([*self.ranked(), *self.failed]):
            row: dict[str, Any] = {"method": name}
            if name in self.methods:
                f = self.methods[name]
                row |= _flat({k: v for k, v in vars(f).items() if k not in ("findings", "seeds")})
                row |= _flat({f"auroc_{finding}": estimate for finding, estimate in f.findings.items()})
            row["seeds"] = len(self.methods[name].seeds) if name in self.methods else 0
            row["failed"] = "; ".join(f"seed {s}: {reason}" for s, reason in self.failed.get(name, {}).items())
            rows.append(row)
        return {"compare.csv": pd.DataFrame(rows)}


def compare_methods(
    runs: Mapping[str, Mapping[int, MeasuredRun]],
    *,
    reference: str,
    baseline: str,
    large: Sequence[str] = (),
    failed: Mapping[str, dict[int, str]] | None = None,
    protocol: Mapping[str, Any] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> ComparisonResult:
    """The figures of finished runs.

    All runs are resampled with the same draws of patients, and runs with the same seed are held against each other, so
    that a difference is paired in both.

    Args:
        runs: method -> seed -> run; a method without any run is left out.
        reference, baseline: names.
        large: findings whose macro average stands by itself.
        failed, protocol: kept with the result.
        resamples, seed: of the bootstrap.

    Raises:
        TaskError: the runs were not measured on the same images and labels.
    """
    finished = {name: dict(seeds) for name, seeds in runs.items() if seeds}
    every = [run for seeds in finished.values() for run in seeds.values()]
    for run in every[1:]:
        check_comparable(every[0].scored, run.scored)
    left_out = every[0].scored.one_sided()
    names = [name for name in every[0].scored.names if name not in left_out]
    draws = {"n": resamples, "seed": seed}
    areas = {method: _Areas.of(seeds, names, draws) for method, seeds in finished.items()}
    figures = {
        method: _figures(seeds, areas[method], areas.get(reference), areas.get(baseline), large, draws)
        for method, seeds in finished.items()
    }
    scored = every[0].scored
    return ComparisonResult(
        methods=figures,
        failed={name: dict(seeds) for name, seeds in (failed or {}).items() if seeds},
        reference=reference if reference in figures else None,
        baseline=baseline if baseline in figures else None,
        protocol={**scored.protocol, "left_out": left_out, "resamples": resamples, "seed": seed, **(protocol or {})},
        notice=scored.notice,
    )


@dataclass(frozen=True, eq=False)
class _Areas:
    """AUROCs of a method: of each seed on all patients, `[F]`, and on each resample, `[F, R]`."""

    names: list[str]
    rows: tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]
    """Patient ids `[N]`; truth and known `[N, F]`, which all seeds share."""
    value: dict[int, NDArray[np.float64]]
    resampled: dict[int, NDArray[np.float64]]

    @classmethod
    def of(cls, seeds: Mapping[int, MeasuredRun], names: list[str], draws: dict[str, int]) -> _Areas:
        value, resampled = {}, {}
        for seed, run in seeds.items():
            use = [run.scored.names.index(name) for name in names]
            columns = (run.scored.truth[:, use], run.scored.scores[:, use], run.scored.known[:, use])
            value[seed] = finding_aurocs(*columns)
            resampled[seed] = bootstrap_values(finding_aurocs, run.scored.patient_ids, *columns, **draws)
        return cls(names, (run.scored.patient_ids, columns[0], columns[2]), value, resampled)

    def mean(self, findings: Sequence[str], draw: int) -> Estimate:
        """The mean over some findings and all seeds."""
        use = [self.names.index(name) for name in findings]
        value = [v[use].mean() for v in self.value.values()]
        resampled = [r[use].mean(0) for r in self.resampled.values()]
        return self._estimate(value, resampled, draw, _SHARE, use)

    def above(self, other: _Areas | None, draw: int) -> Estimate | None:
        """How much its macro AUROC is above another's, over the seeds that both have."""
        shared = [] if other is None or other is self else [seed for seed in self.value if seed in other.value]
        if other is None or not shared:
            return None
        value = [self.value[s].mean() - other.value[s].mean() for s in shared]
        resampled = [self.resampled[s].mean(0) - other.resampled[s].mean(0) for s in shared]
        return self._estimate(value, resampled, draw, (-1.0, 1.0), list(range(len(self.names))))

    def _estimate(
        self,
        value: list[float],
        resampled: list[NDArray[np.float64]],
        draw: int,
        bounds: tuple[float, float],
        use: list[int],
    ) -> Estimate:
        patients, truth, known = self.rows
        unknown = interval_unknown(macro_auroc, patients, truth[:, use], truth[:, use], known[:, use])
        return estimate_over_seeds(value, resampled, len(np.unique(patients)), draw, bounds, unknown)


def _figures(
    seeds: Mapping[int, MeasuredRun],
    areas: _Areas,
    reference: _Areas | None,
    baseline: _Areas | None,
    large: Sequence[str],
    draws: dict[str, int],
) -> MethodFigures:
    draw, runs = draws["seed"], list(seeds.values())
    macros = {seed: float(value.mean()) for seed, value in areas.value.items()}
    measured = [name for name in large if name in areas.names]
    retrieved = [run.retrieval for run in runs if run.retrieval is not None]
    pointed = [run.grounding for run in runs if run.grounding is not None]
    return MethodFigures(
        seeds=macros,
        macro=areas.mean(areas.names, draw),
        spread=seed_spread(list(macros.values())),
        findings={name: areas.mean([name], draw) for name in areas.names},
        large=areas.mean(measured, draw) if measured else None,
        above_reference=areas.above(reference, draw),
        above_baseline=areas.above(baseline, draw),
        precision=_over_tables(retrieved, ["finding_precision@5"], draws),
        precision_chance=_over_tables(retrieved, ["finding_precision_chance"], draws),
        pointing=_over_tables(pointed, ["pointing", "finding"], draws),
        pointing_blind=_over_tables(pointed, ["chance", "finding"], draws),
        samples=float(np.mean([run.samples for run in runs])),
        seconds=float(np.mean([run.seconds for run in runs])),
        samples_per_second=sum(run.samples for run in runs) / max(sum(run.seconds for run in runs), 1e-9),
        parameters=runs[0].parameters,
    )


def _over_tables(tables: Sequence[pd.DataFrame], columns: list[str], draws: dict[str, int]) -> Estimate | None:
    """The mean of a column over images (and over the groups of a second column), seeds and patients."""
    if not tables:
        return None
    metric = image_mean if len(columns) == 1 else group_mean
    arrays = [[table[c].to_numpy() for c in columns] for table in tables]
    patients = tables[0]["patient_id"].to_numpy(object)
    resampled = [bootstrap_values(metric, patients, *each, **draws) for each in arrays]
    values = [float(metric(*each)) for each in arrays]
    unknown = interval_unknown(metric, patients, *arrays[0])
    return estimate_over_seeds(values, resampled, len(np.unique(patients)), draws["seed"], _SHARE, unknown)


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Estimates as `name`, `name_low`, `name_high`."""
    row: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Estimate):
            row |= estimate_columns(name, value)
        else:
            row[name] = value
    return row
