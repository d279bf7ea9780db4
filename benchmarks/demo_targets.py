"""The targets of the main job against the figures of a finished experiment.

medvlp demo --out demo && python benchmarks/demo_targets.py demo
medvlp experiment recipes/real.yaml --data ../shared/data --out runs/real && python benchmarks/demo_targets.py runs/real
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medvlp.experiments.plan import ExperimentPlan
from medvlp.metrics import Estimate, bootstrap_by_patient, macro_auroc, paired_difference
from medvlp.training.recipe_file import recipe_folder


def main() -> None:
    """Print one line a target: what, figure with its interval, target, met or not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    generated = (folder / "phantom").is_dir()
    minutes = sum(_json(folder / "seconds.json").values()) / 60
    _line("minutes, over all starts", minutes, "<=", 15 if generated else None)
    tables = {path.name: pd.read_csv(path / "scores.csv") for path in (folder / "results/zero_shot").iterdir()}
    main_scores = tables["devide"]
    findings = [c for c in main_scores if f"{c}_label" in main_scores]
    for name, table in tables.items():
        bounds = ("", None) if not generated or name != "devide" else (">=", 0.85)
        _line(f"zero-shot macro AUROC, {name}", _macro(table, findings), *bounds)
    if generated:
        large = list(ExperimentPlan.load(recipe_folder() / "demo.yaml").zero_shot.large)
        _line("zero-shot macro AUROC, devide, large findings", _macro(main_scores, large), ">=", 0.95)
        a, b = (_columns(tables[name], findings) for name in ("devide", "clip"))
        gain = paired_difference(macro_auroc, main_scores["patient_id"], (a[0], a[1], a[2]), (b[0], b[1], b[2]))
        _line("devide above clip (lower bound)", gain.low, ">", 0.0)
        pointing = _json(folder / "results/grounding/devide/result.json")["macro"]["pointing"]
        _line("pointing game, devide", Estimate(**pointing), ">=", 0.7)
        figures = _json(folder / "results/retrieval/devide/result.json")["figures"]
        chance = figures["finding_precision_chance"]
        _line("finding precision@5 (low bound)", figures["finding_precision@5"]["low"], "> chance", chance["high"])
    lungs = _json(folder / "results/segmentation/pretrained/result.json")["structures"]["lungs"]["dice"]
    _line("lung Dice, pretrained encoder", Estimate(**lungs), ">=", 0.95 if generated else 0.90)


def _columns(table: pd.DataFrame, findings: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, scores and known cells, `[N, F]` each."""
    labels = table[[f"{f}_label" for f in findings]].astype(str).replace({"1.0": "1", "0.0": "0"}).to_numpy()
    return labels == "1", table[findings].to_numpy(), np.isin(labels, ["0", "1"])


def _macro(table: pd.DataFrame, findings: list[str]) -> Estimate:
    truth, scores, known = _columns(table, findings)
    both = (truth & known).any(0) & (~truth & known).any(0)
    return bootstrap_by_patient(macro_auroc, table["patient_id"], truth[:, both], scores[:, both], known[:, both])


def _line(what: str, figure: Estimate | float, sign: str, target: float | None) -> None:
    value = figure.value if isinstance(figure, Estimate) else figure
    shown = figure.text(3) if isinstance(figure, Estimate) else f"{figure:.3f}"
    if target is None:
        print(f"{what:48} {shown}")
        return
    met = value <= target if sign == "<=" else value >= target if sign == ">=" else value > target
    print(f"{what:48} {shown:24} target {sign} {target:.3g}: {'met' if met else 'NOT MET'}")


def _json(path: Path) -> Any:
    return json.loads(path.read_text())


if __name__ == "__main__":
    main()
