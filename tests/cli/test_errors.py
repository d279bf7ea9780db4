"""Whatever a user can put right is one line and status 2, in every verb; the verbs are taken from the application."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest
import typer
from typer.testing import CliRunner

from medvlp.cli.main import app

NO_UTF8 = os.fsdecode(b"caf\xe9.dcm")


def verbs(
    command: click.Command | None = None, path: tuple[str, ...] = ()
) -> list[tuple[tuple[str, ...], click.Command]]:
    command = typer.main.get_command(app) if command is None else command
    if isinstance(command, click.Group) or hasattr(command, "commands"):
        return [pair for name, below in command.commands.items() for pair in verbs(below, (*path, name))]
    return [(path, command)]


VERBS = verbs()
IDS = [" ".join(path) for path, _ in VERBS]
MISSING = "/nowhere/missing.dcm"


def arguments(command: click.Command, missing: str) -> list[str]:
    """Every required value of a verb; what names something to read is missing."""
    given: list[str] = []
    for parameter in command.params:
        if not parameter.required:
            continue
        if parameter.param_type_name == "argument":
            given.append(missing)
        else:
            given += [parameter.opts[0], "nih14" if parameter.name == "labels" else _written(command, parameter)]
    return given


def _written(command: click.Command, parameter: click.Parameter) -> str:
    return {"index": "/nowhere/out.parquet", "label": "/nowhere/out.csv"}.get(command.name or "", "/nowhere/out")


def run(path: tuple[str, ...], *given: str) -> tuple[int, list[str]]:
    done = CliRunner().invoke(app, [*path, *given])
    assert done.exception is None or isinstance(done.exception, SystemExit), (given, done.exception)
    return done.exit_code, [line for line in done.stderr.splitlines() if line.startswith("Error:")]


@pytest.mark.parametrize(("path", "command"), VERBS, ids=IDS)
def test_a_name_that_is_no_utf8_is_one_line(path: tuple[str, ...], command: click.Command) -> None:
    status, lines = run(path, *arguments(command, NO_UTF8), NO_UTF8)
    assert (status, len(lines)) == (2, 1)
    assert "is not UTF-8" in lines[0]


@pytest.mark.parametrize(("path", "command"), [pair for pair in VERBS if pair[1].name not in ("demo", "phantom")])
def test_something_missing_is_one_line_or_a_row(path: tuple[str, ...], command: click.Command, tmp_path: Path) -> None:
    extra = {"query": ["--text", "x"], "build": ["--table", MISSING]}.get(path[-1], [])
    status, lines = run(path, *arguments(command, MISSING), *extra)
    assert status == 2 if path != ("inspect",) else status in (1, 2)
    assert len(lines) <= 1


WRITTEN = [
    (path, parameter.opts[0])
    for path, command in VERBS
    for parameter in command.params
    if parameter.callback is not None and parameter.param_type_name == "option"
]


@pytest.mark.parametrize(("path", "option"), WRITTEN)
def test_an_ending_that_cannot_be_written_is_one_line(path: tuple[str, ...], option: str) -> None:
    status, lines = run(path, *arguments(dict(VERBS)[path], MISSING), option, "x.xyz")
    assert (status, len(lines)) == (2, 1)
    assert "x.xyz: this is written as ." in lines[0]
    assert len(WRITTEN) >= 8


DEVICES = [path for path, command in VERBS if any("--device" in parameter.opts for parameter in command.params)]


@pytest.mark.parametrize("path", DEVICES, ids=[" ".join(path) for path in DEVICES])
@pytest.mark.parametrize("device", ["banana", "cuda:77"])
def test_no_such_device_is_one_line(
    path: tuple[str, ...], device: str, model_folder: Path, store, pictures, tmp_path: Path
) -> None:
    picture, folder = str(pictures.table["path"].iloc[0]), str(model_folder)
    given = {
        ("label",): [folder, picture],
        ("segment",): [folder, picture, "-o", str(tmp_path / "out")],
        ("ground",): [folder, picture, "edema"],
        ("evaluate",): [folder, "--store", str(store.path)],
        ("retrieve", "build"): [folder, "--store", str(store.path), "-o", str(tmp_path / "index")],
    }
    if path == ("retrieve", "query"):
        built = CliRunner().invoke(app, ["retrieve", "build", *given["retrieve", "build"]])
        assert built.exit_code == 0
        given[path] = [str(tmp_path / "index"), "--text", "edema"]
    status, lines = run(path, *given[path], "--device", device)
    assert (status, len(lines)) == (2, 1)
    assert f'no device "{device}"' in lines[0]
