"""`train`: the one engine, which trains a task; and its `Run`, which logs, validates, writes checkpoints and ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy

from medvlp.data.store import Store
from medvlp.io.atomic_write import atomic_folder
from medvlp.methods.pretraining_objective import current_names
from medvlp.training.checkpoint import ResumeError, RunState, check_same_run, load_state, save_state
from medvlp.training.image_distribution import describe_training_images
from medvlp.training.loop import Trainer, step_batches
from medvlp.training.loss_buffer import LossBuffer
from medvlp.training.model_folder import ModelFolder
from medvlp.training.plan import RunPlan, TrainingClock
from medvlp.training.precision import choose_precision
from medvlp.training.recipe import LoopRecipe, RunRecipe
from medvlp.training.recipe_errors import RecipeError
from medvlp.training.run_log import METRICS_FILE, RunLog
from medvlp.training.task import TrainingTask
from medvlp.training.validation import BestModel

AnyRecipe = TypeVar("AnyRecipe", bound=RunRecipe)
MakeTask = Callable[[AnyRecipe, Store, RunState | None, Fabric], TrainingTask]


def train(
    recipe: AnyRecipe, out: Path | str, make_task: MakeTask[AnyRecipe], resume: bool = False, progress: bool = True
) -> Path:
    """Train what `make_task` makes of the recipe and its store; returns the model folder `out`.

    `out` holds the best model by the validation metric (the last one where there is no validation split), `out/last`
    the last one, and beside them `metrics.jsonl`, `tensorboard/` and `training_state/`, which only resuming reads.
    At the end `training_images.safetensors` says what the training images look like to the model in `out`.

    Args:
        recipe: what to train, on what.
        out: a new folder, or with `resume` that of an interrupted run.
        make_task: called with recipe, store, the state of a continued run (None for a new one) and the fabric.
        resume: continue from the last checkpoint, to the same weights as an uninterrupted run (bit for bit on the same
            CPU with as many threads). A folder without a checkpoint is begun from the start.
        progress: show a live bar, and the plan of the run before its first step.

    Raises:
        RecipeError: the recipe does not fit the store, or names what does not exist.
        ResumeError: `out` holds a run and `resume` is False, or another run than the recipe's.
        DivergedError: a loss was no finite number.
        DiskFullError: no room for a checkpoint or model; the previous ones are intact.
    """
    out, settings = Path(out), recipe.training
    if not resume and ((out / METRICS_FILE).exists() or (out / "model.safetensors").exists()):
        raise ResumeError(f"{out} holds a run already. Continue it with --resume, or choose another folder.")
    if recipe.data.batch_size % settings.devices:
        raise RecipeError(
            f"data.batch_size: {recipe.data.batch_size} images cannot be shared equally by {settings.devices} devices."
        )
    if settings.max_minutes is not None and settings.devices > 1:
        raise RecipeError("training.max_minutes: ranks would stop at different steps; use training.max_steps.")
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    chosen = choose_precision(settings.precision, _device_type(settings.accelerator))
    fabric = Fabric(
        accelerator=settings.accelerator,
        devices=settings.devices,
        strategy=_ranks(settings) if settings.devices > 1 else "auto",
        precision=chosen.fabric,
    )
    fabric.launch()
    store = _open(recipe)
    state = load_state(out) if resume else None
    if state is not None:
        check_same_run(state, recipe, store.hash, out)
    _Run(recipe, store, make_task(recipe, store, state, fabric), out, fabric, state, chosen.reason).train(show=progress)
    if fabric.is_global_zero:
        describe_training_images(out, store, recipe, str(fabric.device))
    return out


def _device_type(accelerator: str) -> str:
    """What Lightning Fabric runs on."""
    if accelerator in ("auto", "gpu"):
        has_gpu = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else None
        return has_gpu or "cpu"
    return accelerator


def _ranks(settings: LoopRecipe) -> DDPStrategy:
    """DDP for networks that leave some parameters unused (a trunk's last norm), the same ones in every step.

    A static graph finds them once, but fails together with skipped gradient reductions; then each step looks for them.
    """
    return DDPStrategy(static_graph=settings.accumulate == 1, find_unused_parameters=settings.accumulate > 1)


def _open(recipe: RunRecipe) -> Store:
    try:
        store = Store.open(recipe.data.store)
        _ = store.letterbox  # the encoders are of radiographs
        for split in (recipe.data.train_split, recipe.data.validate_split):
            store.rows(split, recipe.data.views)
    except (FileNotFoundError, ValueError) as error:
        raise RecipeError(f"data: {error}") from error
    return store


class _Run:
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
        RecipeError: patience without validation images, or a validation that cannot rank models.
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
        else:
            task.check_validation(fabric)
            if fabric.is_global_zero:
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
