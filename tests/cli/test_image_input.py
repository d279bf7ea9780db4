"""How a verb that reads images says which of them it could not read."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import typer

from medvlp.cli.image_input import end_with_status, images_below
from medvlp.tasks.admission import TaskError


def test_the_first_failures_are_named_and_the_others_counted(capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.DataFrame({"path": [f"{i}.png" for i in range(14)], "status": ["ok", *["empty"] * 13]})
    with pytest.raises(typer.Exit) as end:
        end_with_status(table, "labeled", "; see out")
    said = capsys.readouterr().err.splitlines()
    assert end.value.exit_code == 1
    assert said[0] == "1 files labeled, 13 could not be read; see out"
    assert said[1:11] == [f"  {i}.png: empty" for i in range(1, 11)]
    assert said[11:] == ["  ... and 3 more; the column `status` has the reasons"]
    with pytest.raises(typer.Exit) as end:
        end_with_status(table[:1], "segmented")
    assert end.value.exit_code == 0
    assert capsys.readouterr().err == "1 files segmented, 0 could not be read\n"


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="no image in"):
        images_below([tmp_path])
