"""`run_experiment`: a plan becomes a store, pretrained models, segmentation heads, figures and one page."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path

from medvlp.data import index_data_set
from medvlp.data.manifest import Manifest, splits_by_patient
from medvlp.data.preparation import prepare
from medvlp.data.preprocess import Preprocess
from medvlp.data.store import Store
from medvlp.experiments.experiment_page import write_page
from medvlp.experiments.measure import measure
from medvlp.experiments.plan import PRETRAINED, SCRATCH, UNTRAINED, DataPlan, ExperimentPlan, SourcePlan
from medvlp.experiments.work_dir import WorkDir
from medvlp.progress import progress_bar
from medvlp.training.finetune_recipe import FinetuneRecipe
from medvlp.training.finetuning import finetune
from medvlp.training.pretraining import pretrain, save_untrained
from medvlp.training.recipe import Recipe


def run_experiment(plan_file: str | Path, out: str | Path, data: str | Path = "") -> WorkDir:
    """Prepare a plan's data, pretrain its models, measure them on held-out patients, and write one page.

    What an earlier start finished is not done again.

    Args:
        plan_file: YAML file of an `ExperimentPlan`, beside the recipes that it names.
        out: folder of everything that is made.
        data: folder of the plan's data sets.

    Returns:
        The folder's layout; `page` is the page.
    """
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it repeats what the recipes say
    plan_file, work_dir = Path(plan_file), WorkDir(Path(out))
    plan = ExperimentPlan.load(plan_file)
    work_dir.out.mkdir(parents=True, exist_ok=True)
    store = make_store(plan, work_dir, Path(data))
    train_models(plan, plan_file.parent, work_dir, store)
    train_segmenters(plan, plan_file.parent, work_dir)
    write_page(plan, work_dir, store, measure(plan, work_dir, store))
    return work_dir


def make_store(plan: DataPlan, work_dir: WorkDir, data: Path) -> Store:
    """Generate or index every data set of the plan, and prepare them as one store."""
    if work_dir.done("store"):
        return Store.open(work_dir.store)
    manifests = [_manifest(source, work_dir, data) for source in plan.data]
    with work_dir.stage("store", f"Preparing radiographs at {plan.size} pixels"):
        manifest = Manifest.concat(manifests)
        with progress_bar("images") as progress:
            store = prepare(
                manifest,
                work_dir.store,
                Preprocess(size=plan.size),
                progress=lambda stage, done, total: progress(done, total) if stage == "images" else None,
            )
    return store


def _manifest(source: SourcePlan, work_dir: WorkDir, data: Path) -> Manifest:
    if source.name != "phantom":
        return _split(index_data_set(source.name, data / source.root, **source.options), source.split)
    if not work_dir.done("phantom"):
        from medvlp.phantom import generate

        shutil.rmtree(work_dir.phantom, ignore_errors=True)  # of an interrupted start
        patients = source.options["patients"]
        with (
            work_dir.stage("phantom", f"Generating studies of {patients} patients"),
            progress_bar("patients") as progress,
        ):
            count = iter(range(1, patients + 1))
            generate(work_dir.phantom, **source.options, progress=lambda _: progress(next(count), patients))
    return _split(index_data_set("phantom", work_dir.phantom), source.split)


def _split(manifest: Manifest, shares: tuple[float, float, float] | None) -> Manifest:
    if shares is None:
        return manifest
    table = manifest.table.assign(split=splits_by_patient(manifest.table["patient_id"], shares))
    return replace(manifest, table=table)


def train_models(plan: ExperimentPlan, recipes: Path, work_dir: WorkDir, store: Store) -> None:
    """Pretrain every model of the plan; an interrupted one is continued. The main model is also saved untrained."""
    for name, file in plan.models.items():
        if not work_dir.done(name):
            recipe = _recipe(recipes / file, work_dir)
            with work_dir.stage(name, f"Pretraining {name}"):
                pretrain(recipe, work_dir.model(name), resume=work_dir.model(name).exists())
    if not work_dir.done(UNTRAINED):
        recipe = _recipe(recipes / plan.models[plan.main], work_dir)
        with work_dir.stage(UNTRAINED, f"Saving {plan.main} untrained, to compare with"):
            save_untrained(recipe, store, work_dir.model(UNTRAINED))


def _recipe(path: Path, work_dir: WorkDir) -> Recipe:
    return Recipe.load(path, [f"data.store={work_dir.store}"])


def train_segmenters(plan: ExperimentPlan, recipes: Path, work_dir: WorkDir) -> None:
    """Fine-tune the segmentation head on the main model's encoder, and on the same encoder from scratch."""
    if plan.segment is None:
        return
    for name in (PRETRAINED, SCRATCH):
        if work_dir.done(f"segment {name}"):
            continue
        encoder = [f"encoder.model={work_dir.model(plan.main)}", f"encoder.scratch={name == SCRATCH}"]
        recipe = FinetuneRecipe.load(recipes / plan.segment.recipe, [f"data.store={work_dir.store}", *encoder])
        with work_dir.stage(f"segment {name}", f"Fine-tuning segmentation, encoder {name}"):
            folder = work_dir.segmenter(name)
            finetune(recipe, folder, resume=folder.exists())
