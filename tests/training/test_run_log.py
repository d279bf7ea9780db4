"""Lines of the metrics file: numbers, null for what is none, and no step twice after a resume."""

from __future__ import annotations

import json
import resource
import threading
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from medvlp.io.atomic_write import DiskFullError
from medvlp.training.run_log import RunLog, logged


def test_lines_are_json_with_null_for_what_is_no_number(tmp_path: Path) -> None:
    with RunLog(tmp_path, 0, 10, seconds=100.0, shows=False) as log:
        log.train(2, 0.5, {"loss": 1.5, "bce": float("nan")}, rate=0.1, images_a_step=8)
        log.validate(2, {"auroc": 0.75}, "note", took=0.0)
    train, validate = (json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert (train["step"], train["split"], train["loss"], train["bce"]) == (2, "train", 1.5, None)
    assert train["seconds"] >= 100
    assert train["images_per_second"] > 0
    assert (validate["split"], validate["auroc"]) == ("validate", 0.75)


def test_a_resumed_run_drops_what_it_will_repeat(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 2}\n{"step": 4}\n{"step": 6}\n{"ste')
    with RunLog(tmp_path, 4, 10, seconds=0.0, shows=False) as log:
        log.train(6, 1.0, {"loss": 1.0}, rate=0.1, images_a_step=8)
    assert [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [2, 4, 6]


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with RunLog(tmp_path, 0, 10, seconds=0.0, shows=False) as log:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
        try:
            with pytest.raises(DiskFullError, match="checkpoints are intact"):
                log.train(2, 0.5, {"loss": 1.5}, rate=0.1, images_a_step=8)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_disk_that_stays_full_is_named_once(tmp_path: Path) -> None:
    limits, threads = resource.getrlimit(resource.RLIMIT_FSIZE), threading.active_count()

    def fill_and_log() -> None:
        with RunLog(tmp_path, 0, 10, seconds=0.0, shows=False) as log:
            assert threading.active_count() == threads  # nothing else writes
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
            log.train(2, 0.5, {"loss": 1.5}, rate=0.1, images_a_step=8)

    try:
        with pytest.raises(DiskFullError, match="checkpoints are intact"):
            fill_and_log()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_tensorboard_reads_the_event_file(tmp_path: Path) -> None:
    with RunLog(tmp_path, 3, 10, seconds=0.0, shows=False) as log:
        log.train(4, 0.5, {"loss": 1.5}, rate=0.25, images_a_step=8)
        log.validate(4, {"auroc": 0.75}, "", took=0.0)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    found = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    assert found.pop("train/images_per_second")[0][0] == 4
    assert found.pop("train/epoch") == [(4, 0.5)]
    assert found == {"train/loss": [(4, 1.5)], "train/learning_rate": [(4, 0.25)], "validate/auroc": [(4, 0.75)]}


def test_other_ranks_write_nothing(tmp_path: Path) -> None:
    with RunLog(tmp_path, 0, 10, seconds=0.0, writes=False, shows=False) as log:
        log.advance(1)
        log.train(1, 0.1, {"loss": 1.0}, rate=0.1, images_a_step=8)
    assert list(tmp_path.iterdir()) == []


def test_the_bar_shows_losses_speed_and_time_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RunLog(tmp_path, 0, 10, seconds=0.0) as log:
        log.advance(5)
        log.train(5, 0.5, {"loss": 1.25}, rate=0.1, images_a_step=8)
        log.validate(5, {"auroc": 0.75}, "auroc 0.7500 (best so far)", took=0.0)
    shown = capsys.readouterr().err
    assert "5/10" in shown
    assert "loss 1.250" in shown
    assert "images/s" in shown
    assert "step 5: auroc 0.7500 (best so far)" in shown


def test_numbers_of_a_run_are_read_back_where_they_are_numbers(tmp_path: Path) -> None:
    with RunLog(tmp_path, 0, 10, seconds=0.0, shows=False) as log:
        log.validate(2, {"auroc": 0.5}, "", 0.1)
        log.validate(4, {"auroc": float("nan")}, "", 0.1)
        log.train(5, 0.5, {"auroc": 0.1, "loss": 3.0}, rate=0.1, images_a_step=8)
        log.validate(6, {"auroc": 0.75}, "", 0.1)
    assert logged(tmp_path, "validate", "auroc") == ([2, 6], [0.5, 0.75])
    assert logged(tmp_path, "train", "loss") == ([5], [3.0])
    assert logged(tmp_path, "train", "nothing") == ([], [])
