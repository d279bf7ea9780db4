"""What the training loop costs over the bare forward, backward and optimizer step, and how often a step waits.

    python benchmarks/loop_overhead.py --method devide --size 128 --batch 32 --out loop_overhead.json

Three things run in turn, a few steps each, so that other work on the machine slows all of them alike:

- bare: the same model on batches in memory: autocast, losses, backward, fused AdamW, nothing else;
- loop: `Trainer` on the same batches in memory: clipping, schedule, seeds, the buffer of losses, log lines, the bar;
- loop and data: the same with batches made from the store by the loader's threads.

Printed are medians over rounds of wall time and of CPU time of all threads a step, both as ratio to bare too, and the
host syncs of a step as `medvlp.training.host_syncs` counts them. Targets: loop and data at most 5 % over bare, and no
sync. On a machine that does other work, wall times say little: set OMP_NUM_THREADS=1 and read the CPU time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path

import torch
from lightning_fabric import Fabric
from phantom_store import phantom_store

from medvlp.data import BatchLoader, Store
from medvlp.data.batch import Batch
from medvlp.training.assemble import load_book, make_tokenizer
from medvlp.training.host_syncs import HostSyncs
from medvlp.training.loop import Trainer, step_batches
from medvlp.training.loss_buffer import LossBuffer
from medvlp.training.optimizer import make_optimizer
from medvlp.training.pretraining import PretrainingTask
from medvlp.training.recipe import Recipe
from medvlp.training.run_log import RunLog

TOTAL = 10_000  # steps of the pretended run


def recipe_of(store: Store, method: str, batch: int, image_encoder: str) -> Recipe:
    return Recipe.from_dict(
        {
            "method": method,
            "findings": "phantom15",
            "data": {"store": str(store.path), "batch_size": batch},
            "image_encoder": {"name": image_encoder},
            "training": {"log_every": 20, "warmup_steps": 1},
        }
    )


def bare_steps(
    task: PretrainingTask, recipe: Recipe, batches: Iterator[Batch], device: torch.device
) -> Callable[[], None]:
    optimizer = make_optimizer(task.parameter_groups(), recipe.training)

    def step() -> None:
        batch = next(batches).to(device)
        with torch.autocast(device.type, torch.bfloat16):
            losses = task.losses(batch)
        sum(losses.values()).backward()
        optimizer.step()
        torch.autograd.graph.increment_version(list(task.parameters()))
        optimizer.zero_grad(set_to_none=True)

    return step


def loop_steps(
    trainer: Trainer, loader: BatchLoader, batches: Iterator[list[Batch]], log: RunLog
) -> Callable[[], None]:
    every = trainer.settings.log_every

    def step() -> None:
        trainer.train_step(next(batches))
        log.advance(trainer.step)
        if trainer.step % every == 0:
            log.train(trainer.step, 0.0, trainer.buffer.read(), trainer.rate, loader.global_batch_size)

    return step


def timed(step: Callable[[], None], steps: int, device: torch.device) -> tuple[float, float]:
    """Wall and CPU milliseconds of a step."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(steps):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - wall) / steps, 1e3 * (time.process_time() - cpu) / steps


def measure(arguments: argparse.Namespace, work: Path) -> dict[str, object]:
    store = phantom_store(arguments.work or work, patients=60, size=arguments.size)
    recipe = recipe_of(store, arguments.method, arguments.batch, arguments.image_encoder)
    book = load_book(recipe)
    texts = make_tokenizer(recipe, store, book), book
    fabric = Fabric(devices=1, precision="bf16-mixed")
    task = PretrainingTask(recipe, store, *texts, False, fabric).train()
    loader = BatchLoader(store, store.rows("train"), task.method.tokenizer, task.method.findings, arguments.batch)
    in_memory = list(islice(loader.epoch(0), 4))
    trainers = []
    for name in ("memory", "data"):
        folder = work / name
        folder.mkdir()
        buffer = LossBuffer(fabric, recipe.training.log_every, folder)
        trainer = Trainer(
            fabric, PretrainingTask(recipe, store, *texts, False, fabric).train(), recipe.training, 0, TOTAL, buffer
        )
        trainers.append((trainer, RunLog(folder, 0, TOTAL, 0.0)))
    (memory, memory_log), (data, data_log) = trainers
    with memory_log, data_log:
        contenders = {
            "bare": bare_steps(task.to(fabric.device), recipe, cycle(in_memory), fabric.device),
            "loop": loop_steps(memory, loader, cycle([batch] for batch in in_memory), memory_log),
            "loop_and_data": loop_steps(data, loader, step_batches(loader, 0, 1), data_log),
        }
        for step in contenders.values():
            timed(step, 2, fabric.device)
        rounds = [
            {name: timed(step, arguments.steps, fabric.device) for name, step in contenders.items()}
            for _ in range(arguments.rounds)
        ]
        with HostSyncs() as syncs:
            memory.train_step(in_memory[:1])
    _, making = timed(lambda: loader._batch(loader.order(0), 0, 0), 5, torch.device("cpu"))
    return {
        "method": arguments.method,
        "device": str(fabric.device),
        "threads": torch.get_num_threads(),
        **{
            f"{clock}_{what}": {name: value(name, i) for name in contenders}
            for i, clock in enumerate(("wall", "cpu"))
            for what, value in (
                ("milliseconds", lambda name, i: round(statistics.median(r[name][i] for r in rounds), 2)),
                ("over_bare", lambda n, i: round(statistics.median(r[n][i] / r["bare"][i] for r in rounds) - 1, 4)),
            )
        },
        "one_batch_made_in_cpu_milliseconds": round(making, 2),
        "host_syncs_in_a_step": syncs.found,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="devide")
    parser.add_argument("--image-encoder", default="resnet10t")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=4, help="steps of each contender in a round")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--work", type=Path, help="folder that keeps the generated store; default a temporary one")
    parser.add_argument("--out", type=Path, help="JSON file for the result")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        result = measure(arguments, Path(work))
    print(json.dumps(result, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
