"""`Run`: when a run in progress logs, validates, writes a checkpoint and ends."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from lightning_fabric import Fabric
from numpy.typing import NDArray

from medvlp.data.loader import BatchLoader
from medvlp.data.store import Store
from medvlp.io.atomic_write import atomic_folder
from medvlp.methods.pretraining_objective import current_names
from medvlp.training.assemble import Parts, assemble
from medvlp.training.batches import make_loader
from medvlp.training.checkpoint import RunState, save_state
from medvlp.training.clock import TrainingClock
from medvlp.training.data_requirements import check_needs
from medvlp.training.dry_run import check_patch_dropping
from medvlp.training.early_stop import BestModel
from medvlp.training.loop import Trainer, step_batches
from medvlp.training.loss_buffer import LossBuffer
from medvlp.training.model_folder import save_model, write_parts
from medvlp.training.recipe import Recipe
from medvlp.training.recipe_errors import RecipeError
from medvlp.training.run_log import RunLog
from medvlp.training.truncation import TruncatedTexts
from medvlp.training.validation import ValidationLoss, ZeroShotAuroc, validation_rows


class Run:
    """One run: the trainer, its data, its validation and where it is saved.

    Args:
        recipe, store, parts: what is trained, on what.
        out: the run's folder.
        fabric: launched.
        state: of the run that is continued, or None for a new one.
    """

    def __init__(
        self, recipe: Recipe, store: Store, parts: Parts, out: Path, fabric: Fabric, state: RunState | None
    ) -> None:
        self.recipe, self.store, self.parts, self.out, self.fabric = recipe, store, parts, out, fabric
        self.settings = recipe.training
        self.objective = assemble(recipe, parts, pretrained=recipe.image_encoder.pretrained and state is None)
        self.method = self.objective.method
        self.loader = self._loader(store.rows(recipe.data.train_split, recipe.data.views), train=True)
        check_needs(recipe, self.objective, self.loader)
        if recipe.image_encoder.patch_dropping:
            check_patch_dropping(self.objective, next(self.loader.epoch(0)))
        steps = max(1, self.settings.epochs * len(self.loader) // self.settings.accumulate)
        self.planned_steps = min(steps, self.settings.max_steps or steps)
        self.clock = TrainingClock(self.settings.max_minutes, state.trained_seconds if state else 0.0)
        self.total_steps = self.clock.fitted_steps(state.step if state else 0, self.planned_steps)
        self.validate_every = self.settings.validate_every or max(1, len(self.loader) // self.settings.accumulate)
        self.checkpoint_every = self.settings.checkpoint_every or self.validate_every
        self.best = BestModel(self.settings.metric == "auroc", self.settings.patience)
        self.validation = self._validation()
        self.truncation = TruncatedTexts(recipe, self.method)
        self.buffer = LossBuffer(fabric, self.settings.log_every, out)
        self.trainer = Trainer(fabric, self.objective, self.settings, recipe.seed, self.total_steps, self.buffer)
        self.seconds = 0.0
        if state is not None:
            self._restore(state)
        elif fabric.is_global_zero:
            with atomic_folder(out) as staging:
                write_parts(staging, self.method, recipe, store.preprocess, parts)

    def train(self, show: bool) -> None:
        """Train to the end, or until the validation metric has stopped getting better."""
        trainer, rank0 = self.trainer, self.fabric.is_global_zero
        first = trainer.step + 1
        self.objective.train()
        with RunLog(self.out, trainer.step, self.total_steps, self.seconds, rank0, rank0 and show) as log:
            batches = step_batches(self.loader, trainer.step, self.settings.accumulate)
            while trainer.step < self.total_steps and not self.best.should_stop:
                with self.clock.running():
                    rate = trainer.rate
                    trainer.train_step(next(batches))
                    self.total_steps = trainer.total_steps = self.clock.fitted_steps(trainer.step, self.planned_steps)
                    log.advance(trainer.step, self.total_steps)
                    if trainer.step == first and rank0:
                        self.truncation.warn()
                    validates, saves = self._due(self.validate_every), self._due(self.checkpoint_every)
                    if validates or saves or trainer.step % self.settings.log_every == 0:
                        self._log(log, rate)
                if validates:
                    self._validate(log)
                if saves or self.best.should_stop:
                    self._checkpoint(log.seconds)
            batches.close()
            self._finish(log)

    def _due(self, every: int) -> bool:
        return self.trainer.step % every == 0 or self.trainer.step == self.total_steps

    def _log(self, log: RunLog, rate: float) -> None:
        values = self.buffer.read()
        step, accumulate = self.trainer.step, self.settings.accumulate
        images = self.loader.global_batch_size * accumulate
        log.train(step, round(step * accumulate / len(self.loader), 3), values, rate, images)

    def _validate(self, log: RunLog) -> None:
        """Measure the model as it would be saved, and save it when it is the best so far."""
        keeps_best = self.settings.keep == "best"
        if self.validation is None:
            if keeps_best:
                self._save(self.out, {})
            return
        started = time.monotonic()
        if self.trainer.average:
            with self.trainer.average.applied():
                values = self._validation_values(self.validation)
        else:
            values = self._validation_values(self.validation)
        if self.fabric.is_global_zero:
            self.truncation.warn()  # of prompts, which are read when findings are scored
        values = self.fabric.broadcast(values)  # ranks differ in the last digit, and must decide alike
        value, metric = values[self.settings.metric], self.settings.metric
        better = self.best.update(value, self.trainer.step)
        if better and keeps_best:
            self._save(self.out, {metric: value})
        note = f"{metric} {value:.4f}"
        if keeps_best or self.settings.patience is not None:  # else nothing depends on which is the best
            note += f" ({self.best.standing(self.trainer.step)})"
        log.validate(self.trainer.step, values, note, time.monotonic() - started)

    def _validation_values(self, validation: ZeroShotAuroc | ValidationLoss) -> dict[str, float]:
        if isinstance(validation, ValidationLoss):
            return validation(self.objective, self.fabric)
        return validation(self.method, self.fabric)

    def _save(self, folder: Path, result: dict[str, float]) -> None:
        if self.fabric.is_global_zero:
            save_model(
                folder,
                self.method,
                self.recipe,
                self.store.preprocess,
                self.parts,
                generated=self.store.generated,
                store_hash=self.store.hash,
                weights=self.trainer.weights(),
                result={
                    "step": self.trainer.step,
                    "samples": self.trainer.step * self.loader.global_batch_size * self.settings.accumulate,
                    "trained_seconds": round(self.clock.seconds, 3),
                    **result,
                },
            )
        self.fabric.barrier()

    def _checkpoint(self, seconds: float) -> None:
        if self.fabric.is_global_zero:
            average = self.trainer.average
            state = RunState(
                step=self.trainer.step,
                seconds=seconds,
                recipe=self.recipe.to_yaml(),
                store=self.store.hash,
                method=self.objective.model.state_dict(),
                optimizer=self.trainer.optimizer.state_dict(),
                moving_average=average.average if average else None,
                best=self.best.state(),
                trained_seconds=self.clock.seconds,
            )
            save_state(self.out, state)
        self.fabric.barrier()

    def _restore(self, state: RunState) -> None:
        self.objective.model.load_state_dict(current_names(state.method))
        self.trainer.optimizer.load_state_dict(state.optimizer)
        if self.trainer.average and state.moving_average:
            self.trainer.average.load(current_names(state.moving_average))
        self.trainer.step, self.seconds = state.step, state.seconds
        self.best.load(state.best)

    def _finish(self, log: RunLog) -> None:
        if self.settings.keep == "last":
            self._save(self.out, {})
        elif self.validation is not None:
            self._save(self.out / "last", {})
            if self.best.step is None:
                self._save(self.out, {})
        if self.best.should_stop:
            log.say(f"stopped early: {self.best.waited} validations without a better {self.settings.metric}")
        log.say(f"model in {self.out}")

    def _loader(self, rows: NDArray[np.int64], train: bool) -> BatchLoader:
        ranks = self.fabric.global_rank, self.fabric.world_size
        return make_loader(self.recipe, self.store, self.parts, self.objective.required_fields, rows, train, *ranks)

    def _validation(self) -> ZeroShotAuroc | ValidationLoss | None:
        rows = validation_rows(self.store, self.recipe)
        if not len(rows):
            if self.settings.patience is not None:
                raise RecipeError(
                    f"training.patience needs validation images; the store has none in the split "
                    f'"{self.recipe.data.validate_split}" (data.validate_split).'
                )
            return None
        if self.settings.metric == "loss":
            return ValidationLoss(self._loader(rows, train=False))
        return ZeroShotAuroc(
            self.store, rows, self.parts.findings, self.settings.unmentioned, self.recipe.data.batch_size
        )
