"""Does each mechanism do what its paper says? Methods on phantoms, against themselves without the mechanism.

    python benchmarks/mechanisms.py --folder /tmp/mechanisms
    python benchmarks/mechanisms.py --folder /tmp/mechanisms --only devide --steps 2400 --seeds 0 1 2 --json devide.json
    python benchmarks/mechanisms.py --folder /tmp/tiny --patients 20 --size 64 --steps 10 --seeds 0 --least 1

- `medslip`: questions of places ("is anything at the left lower lobe?"), the anatomy stream above the pathology stream;
  and the same with one stream for both, where there must be no difference.
- `devide`: zero-shot findings, above itself without descriptions (definitions alone, names alone) and without patch
  alignment.
- `clip`: zero-shot findings, the target `same_labels` above `identity`, on impressions, which repeat.

Each arm is trained from recipes/phantom_devide.yaml for `--steps` steps of 16 images, with each seed, and scored on the
frontal images of the test split: findings against the ground truth, places against the reports, where silence counts as
absence. A figure is the macro AUROC, mean over the seeds; its 95 % interval holds other patients and, with two seeds or
more, other seeds. A difference is outside chance where its interval does not hold 0. `--folder` keeps the store and the
models: a second call goes on where the first was stopped, and other `--only`, `--seeds` or `--resamples` train no more
than what is missing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from phantom_store import phantom_store

from medvlp.cli.experiment.plan import plan_folder
from medvlp.data import Store
from medvlp.data.loader import BatchLoader
from medvlp.knowledge import PLACES
from medvlp.methods.medslip import MeDSLIP
from medvlp.metrics import Estimate, macro_auroc, resample
from medvlp.metrics.seeds import estimate_over_seeds
from medvlp.objectives.triples import over_findings
from medvlp.reports.states import FindingState
from medvlp.tasks.evaluate_zero_shot import evaluate_zero_shot
from medvlp.tasks.scored_split import ScoredSplit
from medvlp.tasks.zero_shot_result import MACRO, ZeroShotResult, compare, zero_shot_result
from medvlp.training.model_folder import TrainedModel, load_model
from medvlp.training.pretrain import pretrain
from medvlp.training.recipe import Recipe

VIEWS = ("PA", "AP")
ARMS = {
    "medslip": ("method=medslip", "options={}"),
    "medslip, one stream": ("method=medslip", "options={gate: none}"),
    "devide": (),
    "devide, definitions alone": ("options={facets: [definition]}",),
    "devide, names alone": ("options={facets: [name]}",),
    "devide, no patches": ("options={patch_weight: 0.0}",),
    "clip, same_labels": ("method=clip", "options={false_negatives: same_labels}", "data.sections=[impression]"),
    "clip, identity": ("method=clip", "options={false_negatives: identity}", "data.sections=[impression]"),
}
PAIRS = {
    "devide": [("devide", arm) for arm in ARMS if arm.startswith("devide,")],
    "clip": [("clip, same_labels", "clip, identity")],
}


def trained(arm: str, seed: int, store: Store, arguments: argparse.Namespace) -> TrainedModel:
    """The model of an arm, from the folder where it is finished."""
    budget = f"{arguments.patients}-{arguments.size}-{arguments.steps}"
    folder = arguments.folder / budget / arm.replace(", ", "-").replace(" ", "_") / str(seed)
    if not (folder / "last" / "model.safetensors").exists():
        steps = arguments.steps
        settings = (
            f"data.store={store.path}",
            f"seed={seed}",
            f"training.max_steps={steps}",
            "training.epochs=1000000",
            f"training.warmup_steps={min(100, steps // 10)}",
            f"training.validate_every={steps}",
            f"training.checkpoint_every={max(1, steps // 4)}",
        )
        recipe = Recipe.load(plan_folder() / "phantom_devide.yaml", [*ARMS[arm], *settings])
        print(f"training {arm}, seed {seed}", flush=True)
        pretrain(recipe, folder, resume=folder.exists(), progress=False)
    return load_model(folder / "last")


def on_places(model: TrainedModel, store: Store, arguments: argparse.Namespace) -> tuple[ZeroShotResult, ...]:
    """What the anatomy stream and the pathology stream say of places, beside what the reports say."""
    method, rows = model.method, store.rows("test", VIEWS)
    assert isinstance(method, MeDSLIP)
    rows = rows[store.table["report"].to_numpy()[rows] >= 0]
    loader = BatchLoader(store, rows, model.tokenizer, model.findings, 64, train=False, places=True)
    parts = []
    with torch.no_grad():
        for batch in loader.epoch(0):
            images, places = batch.images.to(model.device), batch.places
            assert places is not None
            streams = (method.score_places(images, stream=s).cpu().numpy() for s in ("anatomy", "pathology"))
            parts.append((over_findings(places).numpy(), *streams))
    states, *scores = (np.concatenate(part) for part in zip(*parts, strict=True))
    positives = (states == FindingState.PRESENT).sum(0)
    named = np.array([place not in ("unspecified", "other") for place in PLACES])
    often = np.flatnonzero(named & (positives >= arguments.least))
    table = store.table.iloc[rows]
    return tuple(
        zero_shot_result(
            ScoredSplit(
                names=tuple(PLACES[place] for place in often),
                image_ids=table["image_id"].to_numpy(object),
                patient_ids=table["patient_id"].to_numpy(object),
                scores=of_stream[:, often],
                states=states[:, often],
                protocol={"unmentioned": "negative", "resamples": arguments.resamples, "seed": 0},
                notice=model.notice,
            ),
            arguments.resamples,
            0,
        )
        for of_stream in scores
    )


def over_seeds(first: Sequence[ZeroShotResult], second: Sequence[ZeroShotResult] | None, resamples: int) -> Estimate:
    """Macro AUROC of runs with several seeds, or by how much it is above that of others, seed by seed."""
    values, draws = [], []
    for run, result in enumerate(first):
        columns, drawn = _macro(result, resamples)
        if second is not None:
            others, drawn_others = _macro(second[run], resamples)
            columns, drawn = columns - others, drawn - drawn_others
        values.append(columns)
        draws.append(drawn)
    return estimate_over_seeds(values, np.stack(draws), len(np.unique(first[0].patient_ids)))


def _macro(result: ZeroShotResult, resamples: int) -> tuple[float, np.ndarray]:
    use = [result.names.index(name) for name in result.findings]
    columns = (result.truth[:, use], result.scores[:, use], result.known[:, use])
    return float(macro_auroc(*columns)), resample(macro_auroc, result.patient_ids, *columns, n=resamples, seed=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="of the store and the models")
    parser.add_argument(
        "--only", nargs="+", choices=("medslip", "devide", "clip"), default=["medslip", "devide", "clip"]
    )
    parser.add_argument("--patients", type=int, default=1000)
    parser.add_argument("--size", type=int, default=128, help="pixels")
    parser.add_argument("--steps", type=int, default=1200, help="of each training, 16 images each")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--least", type=int, default=10, help="images of the test split with something at a place")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    store = phantom_store(arguments.folder, arguments.patients, arguments.size)
    truth = arguments.folder / f"phantom-{arguments.patients}-{arguments.size}-archive" / "truth" / "images.csv"
    figures: dict[str, Estimate] = {}

    def say(what: str, first: list[ZeroShotResult], second: list[ZeroShotResult] | None = None) -> None:
        """One line: the figure over the seeds and, of a difference, that of each seed."""
        figures[what] = figure = over_seeds(first, second, arguments.resamples)
        pairs = zip(first, second, strict=True) if second is not None else ()
        each = ", ".join(compare(a, b)[MACRO].text(3) for a, b in pairs)
        print(f"{what:64} {figure.text(3)}{f'   seed by seed {each}' if each else ''}", flush=True)

    for arm in ("medslip", "medslip, one stream") if "medslip" in arguments.only else ():
        runs = [on_places(trained(arm, seed, store, arguments), store, arguments) for seed in arguments.seeds]
        anatomy, pathology = ([run[stream] for run in runs] for stream in (0, 1))
        say(f"places, {arm}: anatomy", anatomy)
        say(f"places, {arm}: pathology", pathology)
        say(f"places, {arm}: anatomy above pathology", anatomy, pathology)
    results: dict[str, list[ZeroShotResult]] = {}
    for first, second in [pair for name, pairs in PAIRS.items() if name in arguments.only for pair in pairs]:
        for arm in (first, second):
            if arm not in results:
                models = [trained(arm, seed, store, arguments) for seed in arguments.seeds]
                asked = {"views": VIEWS, "labels": truth, "resamples": arguments.resamples}
                results[arm] = [evaluate_zero_shot(model, store, **asked) for model in models]
                say(f"findings, {arm}", results[arm])
        say(f"findings, {first} above {second}", results[first], results[second])
    if arguments.json:
        settings = {k: str(v) if isinstance(v, Path) else v for k, v in vars(arguments).items()}
        shown = {what: figure.to_json() for what, figure in figures.items()}
        arguments.json.write_text(json.dumps({"settings": settings, "figures": shown}, indent=1) + "\n")


if __name__ == "__main__":
    main()
