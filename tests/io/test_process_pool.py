"""The pool gives every task an answer, whatever happens to the processes."""

from __future__ import annotations

import importlib
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from medvlp.io import ReadError
from medvlp.io.process_pool import Failure, ProcessPool, run_task

HOSTILE = """
import os, time, ctypes
def crash(task):
    if task in (3, 4, 17):
        ctypes.string_at(0)
    return task
def leave(task):
    if task == 0:
        os._exit(3)
    return task
def hang(task):
    if task == 5:
        time.sleep(60)
    return task
def grow(task):
    return len(bytearray(task << 20))
def report_parent(task):
    return os.getpid()
"""


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module that the workers, too, can import."""
    (tmp_path / "hostile.py").write_text(HOSTILE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    sys.modules.pop("hostile", None)
    return importlib.import_module("hostile")


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_every_task_is_answered(workers: int) -> None:
    with ProcessPool(math.sqrt, workers, chunk=4) as pool:
        assert dict(pool.map([i * i for i in range(50)])) == {i: i for i in range(50)}
    with ProcessPool(math.sqrt, workers) as pool:
        assert list(pool.map([])) == []


def test_messages_larger_than_the_pipe() -> None:
    texts = ["x" * 300_000] * 40
    with ProcessPool(str.upper, 2, chunk=8) as pool:
        assert {answer == "X" * 300_000 for _, answer in pool.map(texts)} == {True}


def test_a_crash_costs_one_task(hostile: ModuleType) -> None:
    with ProcessPool(hostile.crash, 2, chunk=8) as pool:
        answers = dict(pool.map(range(20)))
    failed = {i: a.reason for i, a in answers.items() if isinstance(a, Failure)}
    assert set(failed) == {3, 4, 17}
    assert failed[3] == f"the decoder crashed (signal {int(signal.SIGSEGV)})"
    assert all(answers[i] == i for i in range(20) if i not in failed)


def test_a_process_that_leaves_costs_one_task(hostile: ModuleType) -> None:
    with ProcessPool(hostile.leave, 1) as pool:
        assert dict(pool.map(range(3))) == {0: Failure("the decoder crashed (exit status 3)"), 1: 1, 2: 2}


def test_a_hang_is_stopped(hostile: ModuleType) -> None:
    with ProcessPool(hostile.hang, 2, timeout=3.0, chunk=4) as pool:
        answers = dict(pool.map(range(12)))
    assert answers[5] == Failure("took longer than 3 s and was stopped")
    assert sorted(i for i, a in answers.items() if a == i) == [i for i in range(12) if i != 5]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's data")
def test_a_task_that_wants_too_much_memory_fails_alone(hostile: ModuleType) -> None:
    with ProcessPool(hostile.grow, 1, memory=512 << 20) as pool:
        answers = dict(pool.map([1, 2000, 2]))
    assert answers == {0: 1 << 20, 1: Failure("needs more memory than a worker may take"), 2: 2 << 20}


def test_a_worker_that_cannot_start_stops_the_run(hostile: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", sys.path[1:])  # now only this process can import the function
    with ProcessPool(hostile.crash, 1) as pool, pytest.raises(RuntimeError, match="no worker could start"):
        dict(pool.map(range(3)))


def test_workers_end_with_the_pool(hostile: ModuleType) -> None:
    with ProcessPool(hostile.report_parent, 2, chunk=1) as pool:
        processes = {answer for _, answer in pool.map(range(20))}
    assert os.getpid() not in processes
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_workers_end_when_their_parent_is_killed(hostile: ModuleType) -> None:
    script = (
        "import hostile, time; from medvlp.io.process_pool import Failure, ProcessPool, run_task\n"
        "pool = ProcessPool(hostile.report_parent, 1)\n"
        "print(next(pool.map(range(100)))[1], flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.kill()
    for _ in range(100):
        if not Path(f"/proc/{worker}").exists() or "zombie" in Path(f"/proc/{worker}/status").read_text():
            return
        time.sleep(0.1)
    pytest.fail("the worker outlived its parent")


def test_reasons_hold_no_value_of_the_file() -> None:
    def read(task: str) -> None:
        raise ValueError(f"bad name {task}")

    assert "Smith" not in run_task(read, "Smith").reason
    assert "ValueError in " in run_task(read, "Smith").reason

    def refuse(task: str) -> None:
        raise ReadError(task, "no pixels")

    assert run_task(refuse, "Smith.dcm") == Failure("no pixels")
