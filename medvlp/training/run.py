"""`Run`: when a run in progress logs, validates, writes a checkpoint and ends."""

from __future__ import annotations

import time
from pathlib import Path

from lightning_fabric import Fabric

from medvlp.data.store import Store
from medvlp.io.atomic_write import atomic_folder
from medvlp.methods.pretraining_objective import current_names
from medvlp.training.checkpoint import RunState, save_state
from medvlp.training.loop import Trainer, step_batches
from medvlp.training.loss_buffer import LossBuffer
from medvlp.training.model_folder import ModelFolder
from medvlp.training.plan import RunPlan, TrainingClock
from medvlp.training.recipe import RunRecipe
from medvlp.training.recipe_errors import RecipeError
from medvlp.training.run_log import RunLog
from medvlp.training.task import TrainingTask
from medvlp.training.validation import BestModel


class Run:
    """One run of a task.

    Args:
        recipe, store: of the task.
        task: what is trained.
        out: the run's folder.
        fabric: launched.
        state: of the run that is continued, or None for a new one.
        precision: the number format of the fabric, and why, for the plan and the card.

    Attributes:
        plan: what it will do.

    Raises:
        RecipeError: patience without validation images.
    """

    def __init__(
        self,
        recipe: RunRecipe,
        store: Store,
        task: TrainingTask,
        out: Path,
        fabric: Fabric,
        state: RunState | None,
        precision: str,
    ) -> None:
        self.recipe, self.store, self.task, self.out, self.fabric = recipe, store, task, out, fabric
        self.settings = settings = recipe.training
        if settings.patience is not None and not task.validation_images:
            raise RecipeError(
                f"training.patience needs validation images; the store has none in the split "
                f'"{recipe.data.validate_split}" (data.validate_split).'
            )
        self.plan = RunPlan.of(settings, task.loader, task.validation_images, precision)
        self.clock = TrainingClock(settings.max_minutes, state.trained_seconds if state else 0.0)
        self.total_steps = self.clock.fitted_steps(state.step if state else 0, self.plan.steps)
        self.best = BestModel(task.larger_is_better, settings.patience)
        buffer = LossBuffer(fabric, settings.log_every, out)
        self.trainer = Trainer(fabric, task, settings, recipe.seed, self.total_steps, buffer)
        self.seconds = 0.0
        if state is not None:
            self._restore(state)
        elif fabric.is_global_zero:
            with atomic_folder(out) as staging:
                task.write_files(staging)

    def train(self, show: bool) -> None:
        """Train to the end, or until the validation metric has stopped getting better."""
        trainer, rank0 = self.trainer, self.fabric.is_global_zero
        first = trainer.step + 1
        self.task.train()
        with RunLog(self.out, trainer.step, self.total_steps, self.seconds, rank0, rank0 and show) as log:
            log.say(str(self.plan))
            batches = step_batches(self.task.loader, trainer.step, self.settings.accumulate)
            while trainer.step < self.total_steps and not self.best.should_stop:
                with self.clock.running():
                    rate = trainer.rate
                    trainer.train_step(next(batches))
                    self.total_steps = trainer.total_steps = self.clock.fitted_steps(trainer.step, self.plan.steps)
                    log.advance(trainer.step, self.total_steps)
                    if trainer.step == first and rank0:
                        self.task.after_reading()
                    validates, saves = self._due(self.plan.validate_every), self._due(self.plan.checkpoint_every)
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
        values = self.trainer.buffer.read()
        step = self.trainer.step
        epoch = round(step * self.settings.accumulate / len(self.task.loader), 3)
        log.train(step, epoch, values, rate, self.plan.images_per_step)

    def _validate(self, log: RunLog) -> None:
        """Measure the model as it would be saved, and save it when it is the best so far."""
        keeps_best = self.settings.keep == "best"
        if not self.task.validation_images:
            if keeps_best:
                self._save(self.out, {})
            return
        started = time.monotonic()
        if self.trainer.average:
            with self.trainer.average.applied():
                values = self.task.validate(self.fabric)
        else:
            values = self.task.validate(self.fabric)
        if self.fabric.is_global_zero:
            self.task.after_reading()
        values = self.fabric.broadcast(values)  # ranks differ in the last digit, and must decide alike
        metric = self.task.metric
        value = values[metric]
        better = self.best.update(value, self.trainer.step)
        if better and keeps_best:
            self._save(self.out, {metric: value})
        note = f"{metric} {value:.4f}"
        if keeps_best or self.settings.patience is not None:  # else nothing depends on which is the best
            note += f" ({self.best.standing(self.trainer.step)})"
        log.validate(self.trainer.step, values, note, time.monotonic() - started)

    def _save(self, folder: Path, result: dict[str, float]) -> None:
        if self.fabric.is_global_zero:
            ModelFolder(folder).write(
                self.task,
                self.recipe,
                self.store,
                self.trainer.weights(),
                {
                    "step": self.trainer.step,
                    "samples": self.trainer.step * self.plan.images_per_step,
                    "trained_seconds": round(self.clock.seconds, 3),
                    "precision": self.plan.precision,
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
                model=self.task.model.state_dict(),
                optimizer=self.trainer.optimizer.state_dict(),
                moving_average=average.average if average else None,
                best=self.best.state(),
                trained_seconds=self.clock.seconds,
            )
            save_state(self.out, state)
        self.fabric.barrier()

    def _restore(self, state: RunState) -> None:
        self.task.model.load_state_dict(current_names(state.model))
        self.trainer.optimizer.load_state_dict(state.optimizer)
        if self.trainer.average and state.moving_average:
            self.trainer.average.load(current_names(state.moving_average))
        self.trainer.step, self.seconds = state.step, state.seconds
        self.best.load(state.best)

    def _finish(self, log: RunLog) -> None:
        if self.settings.keep == "last":
            self._save(self.out, {})
        elif self.task.validation_images:
            self._save(self.out / "last", {})
            if self.best.step is None:
                self._save(self.out, {})
        if self.best.should_stop:
            log.say(f"stopped early: {self.best.waited} validations without a better {self.task.metric}")
        log.say(f"model in {self.out}")
