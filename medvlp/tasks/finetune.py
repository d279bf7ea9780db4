"""`finetune`: a segmentation head on a pretrained encoder (or one from scratch), trained on the masks of a store."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from medvlp.data.store import Store
from medvlp.models import ImageEncoder, SegmentationNet
from medvlp.objectives import pixel_bce, soft_dice
from medvlp.tasks.finetune_recipe import FinetuneRecipe
from medvlp.tasks.inference import TaskError, check_preprocessing
from medvlp.tasks.mask_batches import MaskBatches, mask_rows
from medvlp.tasks.segment_rows import mean_dice, row_areas
from medvlp.tasks.segmenter import Segmenter, save_segmenter
from medvlp.training.early_stop import BestModel
from medvlp.training.model_folder import device_named, load_model
from medvlp.training.recipe_errors import RecipeError
from medvlp.training.run_log import RunLog


def finetune(recipe: FinetuneRecipe, out: str | Path, *, shows: bool = True) -> Path:
    """Train, and save the model with the best validation Dice.

    Args:
        recipe: what to do.
        out: folder of the model; beside it stand `metrics.jsonl` and TensorBoard's files.
        shows: draw a progress bar on the standard error stream.

    Returns:
        The folder, which `medvlp.load`, `medvlp segment` and `medvlp evaluate --task segmentation` take.

    Raises:
        RecipeError, TaskError, ModelFolderError: before the first step, where something does not fit.
        DiskFullError: while saving; an earlier best model stays.
    """
    out, settings = Path(out), recipe.training
    if (out / "model.safetensors").exists():
        raise TaskError(f"{out} holds a model already; choose another folder")
    if settings.threads:
        torch.set_num_threads(settings.threads)
    store = Store.open(recipe.data.store)
    segmenter = build_segmenter(recipe, store)
    rows = training_rows(recipe, store)
    validation = mask_rows(store, recipe.structures, recipe.data.validate_split, recipe.data.views)
    batches = MaskBatches(store, rows, recipe.structures, recipe.data.batch_size, recipe.seed, recipe.data.augment)
    total = min(settings.epochs * len(batches), settings.max_steps or math.inf)
    best = BestModel(larger_is_better=True, patience=settings.patience)
    out.mkdir(parents=True, exist_ok=True)
    with RunLog(out, 0, int(total), 0.0, shows=shows) as log:
        log.say(f"{len(rows)} training and {len(validation)} validation images with masks")

        def validate(step: int) -> None:
            started = time.monotonic()
            segmenter.net.eval()
            dice = mean_dice(row_areas(segmenter, store, validation))
            if best.update(dice, step):
                result = {"step": step, "validation_dice": dice, "training_images": len(rows)}
                save_segmenter(out, segmenter, segmenter.net.state_dict(), result)
            log.validate(step, {"dice": dice}, f"validation Dice {dice:.3f}", time.monotonic() - started)

        _train(segmenter, batches, int(total), best, validate, log)
    if best.value is None:
        raise TaskError("no validation gave a Dice: none of the validation masks marks a pixel")
    return out


def build_segmenter(recipe: FinetuneRecipe, store: Store) -> Segmenter:
    """The untrained network of a recipe, on the device, with its preprocessing checked against the store.

    Raises:
        RecipeError: an unknown decoder or encoder name.
        TaskError: the store was prepared otherwise than the images of the pretrained model.
    """
    torch.manual_seed(recipe.seed)
    generated, source = store.generated, recipe.encoder
    try:
        if source.model is None:
            encoder = ImageEncoder(source.name, source.pretrained, store.letterbox.size)
        else:
            model = load_model(source.model)
            check_preprocessing(store, model.preprocess)
            generated = generated or (model.generated and not source.scratch)
            encoder = copy.deepcopy(model.method.image_encoder)
            if source.scratch:
                encoder = ImageEncoder(encoder.name, image_size=store.letterbox.size)
        net = SegmentationNet(encoder, recipe.decoder.name, len(recipe.structures), recipe.decoder.width)
    except ValueError as error:
        if isinstance(error, TaskError):
            raise
        raise RecipeError(str(error)) from error
    device = device_named()
    if source.freeze:
        net.trunk.requires_grad_(False)
    return Segmenter(net.to(device), encoder.name, recipe, store.letterbox, generated, {}, device)


def training_rows(recipe: FinetuneRecipe, store: Store) -> NDArray[np.int64]:
    """Rows of the training split with a mask; of `train_patients` patients where the recipe says so."""
    rows = mask_rows(store, recipe.structures, recipe.data.train_split, recipe.data.views)
    if recipe.data.train_patients is None:
        return rows
    patients = store.table["patient_id"].to_numpy()[rows]
    drawn = np.random.default_rng(recipe.seed).permutation(np.unique(patients))[: recipe.data.train_patients]
    return rows[np.isin(patients, drawn)]


def _train(
    segmenter: Segmenter,
    batches: MaskBatches,
    total: int,
    best: BestModel,
    validate: Callable[[int], None],
    log: RunLog,
) -> None:
    """Steps until the last, or until the validation gets no better."""
    recipe, net, device = segmenter.recipe, segmenter.net, segmenter.device
    settings, step, summed = recipe.training, 0, torch.zeros(2, device=device)
    optimizer, schedule = _optimiser(segmenter, total)
    for epoch in range(settings.epochs):
        net.train()
        net.trunk.train(not recipe.encoder.freeze)  # a frozen encoder keeps its batch statistics too
        summed.zero_()
        first = step
        for images, masks in batches.epoch(epoch):
            images, masks = images.to(device, non_blocking=True), masks.to(device, non_blocking=True)
            with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
                logits = net(images)
            dice, bce = soft_dice(logits, masks), pixel_bce(logits, masks)
            (settings.dice_weight * dice + (1 - settings.dice_weight) * bce).backward()
            if settings.clip_norm:
                torch.nn.utils.clip_grad_norm_(net.parameters(), settings.clip_norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
            summed += torch.stack([dice.detach(), bce.detach()])
            step += 1
            log.advance(step)
            if step == total:
                break
        means = dict(zip(("dice_loss", "bce_loss"), (summed / (step - first)).tolist(), strict=True))
        log.train(step, epoch + 1.0, means, optimizer.param_groups[0]["lr"], batches.batch_size)
        if step == total or (epoch + 1) % settings.validate_every == 0:
            validate(step)
        if step == total or best.should_stop:
            return


def _optimiser(segmenter: Segmenter, total: int) -> tuple[AdamW, LambdaLR]:
    """AdamW with a smaller rate for the encoder; linear warm-up, then half a cosine to zero."""
    settings, net = segmenter.recipe.training, segmenter.net
    trunk = [p for p in net.trunk.parameters() if p.requires_grad]
    head = [*net.decoder.parameters(), *net.head.parameters()]
    groups: list[dict[str, Any]] = [{"params": head}]
    if trunk:
        rate = 1.0 if segmenter.recipe.encoder.from_scratch else settings.encoder_rate
        groups.append({"params": trunk, "lr": settings.learning_rate * rate})
    optimizer = AdamW(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
    warmup = min(settings.warmup_steps, total // 10)

    def share(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))

    return optimizer, LambdaLR(optimizer, share)
