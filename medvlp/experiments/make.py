"""The first half of an experiment: its data, its pretrained models and its segmentation heads."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from medvlp.data import sources
from medvlp.data.manifest import Manifest
from medvlp.data.preparation import prepare
from medvlp.data.preprocess import Preprocess
from medvlp.data.splits import splits_by_patient
from medvlp.data.store import Store
from medvlp.experiments.plan import UNTRAINED, DataPlan, Plan, SourcePlan
from medvlp.experiments.work_dir import Workplace
from medvlp.progress import progress_bar
from medvlp.tasks.finetune import finetune
from medvlp.tasks.finetune_recipe import FinetuneRecipe
from medvlp.training.assemble import assemble, parts_from_store
from medvlp.training.model_folder import save_model
from medvlp.training.pretrain import pretrain
from medvlp.training.recipe import Recipe

PRETRAINED, SCRATCH = "pretrained", "scratch"


def make_store(plan: DataPlan, place: Workplace, data: Path) -> Store:
    """Generate or index every data set of the plan, and prepare them as one store."""
    if place.done("store"):
        return Store.open(place.store)
    manifests = [_manifest(source, place, data) for source in plan.data]
    with place.stage("store", f"Preparing radiographs at {plan.size} pixels"):
        manifest = Manifest.concat(manifests)
        with progress_bar("images") as progress:
            store = prepare(
                manifest,
                place.store,
                Preprocess(size=plan.size),
                progress=lambda stage, done, total: progress(done, total) if stage == "images" else None,
            )
    return store


def _manifest(source: SourcePlan, place: Workplace, data: Path) -> Manifest:
    if source.name != "phantom":
        return _split(sources.load(source.name, data / source.root, **source.options), source.split)
    if not place.done("phantom"):
        from medvlp.phantom import generate

        shutil.rmtree(place.phantom, ignore_errors=True)  # of an interrupted start
        patients = source.options["patients"]
        with place.stage("phantom", f"Generating studies of {patients} patients"), progress_bar("patients") as progress:
            count = iter(range(1, patients + 1))
            generate(place.phantom, **source.options, progress=lambda _: progress(next(count), patients))
    return _split(sources.load("phantom", place.phantom), source.split)


def _split(manifest: Manifest, shares: tuple[float, float, float] | None) -> Manifest:
    if shares is None:
        return manifest
    table = manifest.table.assign(split=splits_by_patient(manifest.table["patient_id"], shares))
    return replace(manifest, table=table)


def train_models(plan: Plan, recipes: Path, place: Workplace, store: Store) -> None:
    """Pretrain every model of the plan; an interrupted one is continued. The main model is also saved untrained."""
    for name, file in plan.models.items():
        if not place.done(name):
            recipe = _recipe(recipes / file, place)
            with place.stage(name, f"Pretraining {name}"):
                pretrain(recipe, place.model(name), resume=place.model(name).exists())
    if not place.done(UNTRAINED):
        recipe = _recipe(recipes / plan.models[plan.main], place)
        with place.stage(UNTRAINED, f"Saving {plan.main} untrained, to compare with"):
            parts = parts_from_store(recipe, store)
            method = assemble(recipe, parts, pretrained=recipe.image_encoder.pretrained)
            save_model(
                place.model(UNTRAINED),
                method,
                recipe,
                store.preprocess,
                parts,
                generated=store.generated,
                store_hash=store.hash,
                result={"step": 0},
            )


def _recipe(path: Path, place: Workplace) -> Recipe:
    return Recipe.load(path, [f"data.store={place.store}"])


def train_segmenters(plan: Plan, recipes: Path, place: Workplace) -> None:
    """Fine-tune the segmentation head on the main model's encoder, and on the same encoder from scratch."""
    if plan.segment is None:
        return
    for name in (PRETRAINED, SCRATCH):
        if place.done(f"segment {name}"):
            continue
        encoder = [f"encoder.model={place.model(plan.main)}", f"encoder.scratch={name == SCRATCH}"]
        recipe = FinetuneRecipe.load(recipes / plan.segment.recipe, [f"data.store={place.store}", *encoder])
        with place.stage(f"segment {name}", f"Fine-tuning segmentation, encoder {name}"):
            finetune(recipe, place.segmenter(name))
