"""What a run tells while it runs: `metrics.jsonl`, TensorBoard, and a live bar."""

from __future__ import annotations

import json
import math
import os
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from medvlp.io.atomic_write import raise_if_full

METRICS_FILE = "metrics.jsonl"
_NOT_LOSSES = {"gradient_norm", "learning_rate", "images_per_second"}


class RunLog:
    """Writes lines of numbers, and shows them.

    A line of `metrics.jsonl` is `{"step": 40, "split": "train" | "validate", "seconds": 12.3, ...}`; a value that is no
    number is null. A resumed run first drops the lines after its checkpoint, so that no step stands there twice.

    Args:
        folder: of the run.
        step, total_steps: where the run begins and ends.
        seconds: training time before this start.
        writes: False on all ranks but one.
        shows: draw the bar, on the standard error stream.
    """

    def __init__(
        self, folder: Path, step: int, total_steps: int, seconds: float, writes: bool = True, shows: bool = True
    ) -> None:
        self.folder, self.writes = folder, writes
        self._started = time.monotonic() - seconds
        self._last_step, self._last_time = step, time.monotonic()
        self._bar: Progress | None = None
        if not writes:
            return
        self._drop_after(folder / METRICS_FILE, step)
        self._file = (folder / METRICS_FILE).open("a")
        self._board = _EventFile(folder / "tensorboard", step + 1)
        if shows:
            self._bar = _bar(total_steps)
            self._task = self._bar.add_task("step", total=total_steps, completed=step, speed="", losses="")

    @property
    def seconds(self) -> float:
        """Training time since the first step of the run, earlier starts included."""
        return time.monotonic() - self._started

    def advance(self, step: int, total_steps: int | None = None) -> None:
        """Move the bar, to another end where one is given; costs no device time."""
        if self._bar:
            self._bar.update(self._task, completed=step, total=total_steps)

    def train(self, step: int, epoch: float, values: dict[str, float], rate: float, images_a_step: int) -> None:
        """Write the means since the last call."""
        now = time.monotonic()
        speed = (step - self._last_step) * images_a_step / max(now - self._last_time, 1e-9)
        self._last_step, self._last_time = step, now
        values = {**values, "learning_rate": rate, "images_per_second": speed}
        self._line(step, "train", {"epoch": epoch, **values})
        if self._bar:
            losses = "  ".join(f"{name} {value:.3f}" for name, value in values.items() if name not in _NOT_LOSSES)
            self._bar.update(self._task, losses=losses, speed=f"{speed:.0f} images/s")

    def validate(self, step: int, values: dict[str, float], note: str, took: float) -> None:
        """Write a validation, which took so many seconds, and say it in one line above the bar."""
        self._line(step, "validate", values)
        self.say(f"step {step}: {note}")
        self._last_time += took  # not the training's fault

    def say(self, text: str) -> None:
        """A line for people."""
        if self._bar:
            self._bar.console.print(text, highlight=False)

    def __enter__(self) -> RunLog:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()
        if not self.writes:
            return
        for file in (self._file, self._board.file):
            try:
                file.close()  # which writes what a full disk has left in its buffer
            except OSError as full:
                if error is None:
                    self._raise_if_full(full)
                    raise

    def _line(self, step: int, split: str, values: dict[str, float]) -> None:
        if not self.writes:
            return
        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
        entry = {"step": step, "split": split, "seconds": round(self.seconds, 3), **finite}
        try:
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()
            self._board.add({f"{split}/{name}": value for name, value in values.items()}, step)
        except OSError as error:
            self._raise_if_full(error)
            raise

    def _raise_if_full(self, error: OSError) -> None:
        raise_if_full(error, f"cannot log to {self._file.name}; models and checkpoints are intact", self.folder)

    @staticmethod
    def _drop_after(path: Path, step: int) -> None:
        if path.exists():
            lines = [line for line in path.read_text().splitlines() if _step_of(line) <= step]
            path.write_text("".join(line + "\n" for line in lines))


class _EventFile:
    """A TensorBoard event file. It has no writer thread, so that an error stands at the line that caused it.

    Args:
        folder: of the event files.
        step: where this start of the run begins; TensorBoard hides what an earlier start logged from there on.
    """

    def __init__(self, folder: Path, step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns() // 10**9:010d}.{socket.gethostname()}.{os.getpid()}.{step}"
        self.file = (folder / name).open("wb")
        self._records = RecordWriter(self.file)
        self._write(step=step, file_version="brain.Event:2")
        self._write(step=step, session_log=SessionLog(status=SessionLog.START))

    def add(self, values: dict[str, float], step: int) -> None:
        scalars = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._write(step=step, summary=Summary(value=scalars))
        self.file.flush()

    def _write(self, **fields: Any) -> None:
        self._records.write(Event(wall_time=time.time(), **fields).SerializeToString())


def logged(folder: Path, split: str, name: str) -> tuple[list[int], list[float]]:
    """Steps and values of one number in the metrics file of a run, where it was a number; `split` as there."""
    lines = [json.loads(line) for line in (folder / METRICS_FILE).read_text().splitlines()]
    found = [line for line in lines if line["split"] == split and line.get(name) is not None]
    return [line["step"] for line in found], [line[name] for line in found]


def _bar(total_steps: int) -> Progress:
    """Step, bar, time left and speed in fixed widths; the losses get the rest of the line."""

    def fixed(width: int) -> Column:
        return Column(min_width=width, no_wrap=True)

    return Progress(
        TextColumn("{task.description}"),
        MofNCompleteColumn(table_column=fixed(2 * len(str(total_steps)) + 1)),
        BarColumn(bar_width=10),
        TimeRemainingColumn(table_column=fixed(7)),
        TextColumn("{task.fields[speed]}", table_column=fixed(12)),
        TextColumn("{task.fields[losses]}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
        console=Console(stderr=True),
        refresh_per_second=2,
        expand=True,
    )


def _step_of(line: str) -> float:
    """The step of a metrics line; infinite for a line that a kill cut off."""
    try:
        return int(json.loads(line)["step"])
    except (json.JSONDecodeError, KeyError, TypeError):
        return math.inf
