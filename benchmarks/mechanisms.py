"""Does each mechanism do what its paper says? Methods on generated radiographs, against themselves without it.

    python benchmarks/mechanisms.py --folder /tmp/mechanisms
    python benchmarks/mechanisms.py --folder /tmp/mechanisms --only repeats --seeds 0 1 2 3 4 --json repeats.json
    python benchmarks/mechanisms.py --folder /tmp/tiny --patients 20 --size 64 --steps 10 --seeds 0 --least 1

- `places`: `medslip` is asked whether anything is at a place ("the left lower lobe"); its anatomy stream above its
  pathology stream. Macro AUROC over places against the reports, where silence counts as absence.
- `patches`: `devide` above itself without patch alignment, in the pointing game of sentences and of the decoder, and in
  zero-shot AUROC.
- `repeats`: `clip` with the target `same_labels` above itself with `identity`, on impressions, which repeat in other
  words: a fifth of the patients is for training, seen often and as they are. Zero-shot AUROC.

Each arm is trained from recipes/phantom_devide.yaml with each seed and asked of the frontal images of the test split.
Figures are means over the seeds; their 95 % intervals hold other patients and, with two seeds or more, other seeds. A
difference is outside chance where its interval does not hold 0. `--folder` keeps stores and models: a second call goes
on where the first was stopped, and other `--only` or `--seeds` train no more than what is missing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from phantom_store import phantom_store, truth_of

from medvlp.data import Store
from medvlp.data.loader import BatchLoader
from medvlp.evaluation.grounding import evaluate_grounding
from medvlp.evaluation.label import evaluate_labels
from medvlp.evaluation.protocol import Protocol
from medvlp.knowledge import PLACES
from medvlp.methods.medslip import MeDSLIP
from medvlp.metrics import Estimate, bootstrap_values, group_mean, macro_auroc
from medvlp.metrics.seeds import estimate_over_seeds
from medvlp.objectives import over_findings
from medvlp.reports.states import FindingState
from medvlp.training.model_folder import TrainedModel, load_model
from medvlp.training.pretraining import pretrain
from medvlp.training.recipe import Recipe
from medvlp.training.recipe_file import recipe_folder

VIEWS = ("PA", "AP")
WORLDS: dict[str, dict[str, Any]] = {
    "many": {"severity": (0.55, 1.0), "prevalence": 2.0},
    "few": {"severity": (0.55, 1.0), "prevalence": 0.7, "split": (0.2, 0.05, 0.75)},
}
IMPRESSIONS = ("method=clip", "data.sections=[impression]", "data.augment=none")
ARMS = {  # name: the world, and the settings of the recipe
    "medslip": ("many", ("method=medslip",)),
    "devide": ("many", ()),
    "devide, no patches": ("many", ("options={patch_weight: 0.0}",)),
    "clip, same_labels": ("few", (*IMPRESSIONS, "options={false_negatives: same_labels}")),
    "clip, identity": ("few", (*IMPRESSIONS, "options={false_negatives: identity}")),
}


class Asked(NamedTuple):
    """One question to one model: what the metric takes, row by row, and the patient of each row."""

    metric: Callable[..., Any]
    patients: np.ndarray
    columns: tuple[np.ndarray, ...]


def trained(arm: str, seed: int, store: Store, arguments: argparse.Namespace) -> TrainedModel:
    """The model of an arm, from the folder where it is finished."""
    steps, settings = arguments.steps, ARMS[arm][1]
    name = arm.replace(", ", "-").replace(" ", "_")
    folder = arguments.folder / f"{store.path.name}-{steps}" / name / str(seed)
    if not (folder / "last" / "model.safetensors").exists():
        budget = (
            f"data.store={store.path}",
            f"seed={seed}",
            f"training.max_steps={steps}",
            "training.epochs=1000000",
            f"training.warmup_steps={min(100, steps // 10)}",
            f"training.validate_every={steps}",
            f"training.checkpoint_every={max(1, steps // 4)}",
        )
        print(f"training {arm}, seed {seed}", flush=True)
        recipe = Recipe.load(recipe_folder() / "phantom_devide.yaml", [*settings, *budget])
        pretrain(recipe, folder, resume=folder.exists(), progress=False)
    return load_model(folder / "last")


def of_places(model: TrainedModel, store: Store, least: int) -> dict[str, Asked]:
    """What the anatomy stream and the pathology stream say of places that `least` test images have something at."""
    method, rows = cast(MeDSLIP, model.method), store.rows("test", VIEWS)
    rows = rows[store.table["report"].to_numpy()[rows] >= 0]
    loader = BatchLoader(store, rows, model.tokenizer, model.findings, 64, train=False, places=True)
    parts = []
    with torch.no_grad():
        for batch in loader.epoch(0):
            images = batch.images.to(model.device)
            streams = (method.score_places(images, stream=s).cpu().numpy() for s in ("anatomy", "pathology"))
            parts.append((over_findings(cast(torch.Tensor, batch.places)).numpy(), *streams))
    states, anatomy, pathology = (np.concatenate(part) for part in zip(*parts, strict=True))
    there = states == FindingState.PRESENT
    often = [i for i, p in enumerate(PLACES) if there[:, i].sum() >= least and p not in ("unspecified", "other")]
    patients, known = store.table["patient_id"].to_numpy(object)[rows], states[:, often] != FindingState.UNCERTAIN
    return {
        f"places, {name} stream": Asked(macro_auroc, patients, (there[:, often], scores[:, often], known))
        for name, scores in (("anatomy", anatomy), ("pathology", pathology))
    }


def of_findings(model: TrainedModel, store: Store) -> dict[str, Asked]:
    """Zero-shot scores against what is in the pictures."""
    result = evaluate_labels(model, store, Protocol(views=VIEWS, labels=truth_of(store.path), resamples=1))
    use = [result.names.index(name) for name in result.findings]
    columns = (result.truth[:, use], result.scores[:, use], result.known[:, use])
    return {"zero-shot AUROC": Asked(macro_auroc, result.patient_ids, columns)}


def of_pointing(model: TrainedModel, store: Store) -> dict[str, Asked]:
    """Whether the hottest point for the name of a finding lies in its box: of sentences, and of the decoder."""
    asked = {}
    for grounding in ("sentence", "decoder"):
        model.method.options = model.method.options.model_copy(update={"grounding": grounding})
        pairs = evaluate_grounding(model, store, Protocol(views=VIEWS, resamples=1)).pairs
        columns = tuple(pairs[c].to_numpy() for c in ("pointing", "finding"))
        asked[f"pointing, {grounding}"] = Asked(group_mean, pairs["patient_id"].to_numpy(object), columns)
    return asked


PAIRS: list[tuple[Any, ...]] = [
    ("patches", "devide", "devide, no patches", of_findings, of_pointing),
    ("repeats", "clip, same_labels", "clip, identity", of_findings),
]


def over_seeds(first: list[Asked], second: list[Asked] | None, resamples: int) -> Estimate:
    """The figure of runs with several seeds, or by how much it is above that of others, seed by seed."""
    values, draws = [], []
    for k, run in enumerate(first):
        value, drawn = _figure(run, resamples)
        if second is not None:
            other, drawn_other = _figure(second[k], resamples)
            value, drawn = value - other, drawn - drawn_other
        values.append(value)
        draws.append(drawn)
    bounds = (0, 1) if second is None else (-1, 1)
    return estimate_over_seeds(values, np.stack(draws), len(np.unique(first[0].patients)), bounds=bounds)


def _figure(asked: Asked, resamples: int) -> tuple[float, np.ndarray]:
    drawn = bootstrap_values(asked.metric, asked.patients, *asked.columns, n=resamples, seed=0)
    return float(asked.metric(*asked.columns)), drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="of the stores and the models")
    parser.add_argument("--only", nargs="+", choices=("places", "patches", "repeats"))
    parser.add_argument("--patients", type=int, default=1000)
    parser.add_argument("--size", type=int, default=96, help="pixels")
    parser.add_argument("--steps", type=int, default=1250, help="of each training, 16 images each")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--least", type=int, default=10, help="images of the test split with something at a place")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures: dict[str, Estimate] = {}

    def ask(arm: str, *questions: Callable[[TrainedModel, Store], dict[str, Asked]]) -> dict[str, list[Asked]]:
        """Question -> the answers of each seed's model."""
        world = ARMS[arm][0]
        store = phantom_store(arguments.folder, arguments.patients, arguments.size, world, **WORLDS[world])
        models = [trained(arm, seed, store, arguments) for seed in arguments.seeds]
        runs = [{name: asked for q in questions for name, asked in q(model, store).items()} for model in models]
        return {name: [run[name] for run in runs] for name in runs[0]}

    def say(what: str, first: list[Asked], second: list[Asked] | None = None) -> None:
        figures[what] = over_seeds(first, second, arguments.resamples)
        print(f"{what:56} {figures[what].text(3)}", flush=True)

    only = arguments.only or ["places", "patches", "repeats"]
    if "places" in only:
        streams = ask("medslip", lambda model, store: of_places(model, store, arguments.least))
        for name, asked in streams.items():
            say(f"medslip: {name}", asked)
        say("medslip: anatomy above pathology", *streams.values())
    for chosen, whole, ablated, *questions in PAIRS:
        if chosen in only:
            first, second = ask(whole, *questions), ask(ablated, *questions)
            for name in first:
                say(f"{whole}: {name}", first[name])
                say(f"{ablated}: {name}", second[name])
                say(f"{whole} above {ablated}: {name}", first[name], second[name])
    if arguments.json:
        settings = {k: str(v) if isinstance(v, Path) else v for k, v in vars(arguments).items()}
        shown = {what: figure.to_json() for what, figure in figures.items()}
        arguments.json.write_text(json.dumps({"settings": settings, "figures": shown}, indent=1) + "\n")


if __name__ == "__main__":
    main()
