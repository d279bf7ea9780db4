"""The package's front door: cheap to import, clear when misused, and safe beside a CUDA build of torchvision."""

import subprocess
import sys
from importlib import import_module

import pytest

import medvlp


def _python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_medvlp_or_its_command_line_loads_no_heavy_package() -> None:
    heavy = {"torch", "monai", "transformers", "timm", "pandas", "pydicom", "scipy", "sklearn"}
    loaded = _python("import sys, medvlp, medvlp.cli.main; print(' '.join(m.split('.')[0] for m in sys.modules))")
    assert heavy.isdisjoint(loaded.split())


def test_unknown_attribute_lists_what_there_is() -> None:
    with pytest.raises(AttributeError, match="read_image"):
        medvlp.read_imag  # type: ignore[attr-defined]  # noqa: B018


def test_public_names_resolve_lazily() -> None:
    from medvlp.io import read_image
    from medvlp.reports import parse_report

    assert medvlp.read_image is read_image
    assert medvlp.parse_report is parse_report


def test_torchvision_imports_beside_any_torch_build() -> None:
    assert (
        _python("import medvlp, torchvision, timm; print(timm.create_model('resnet10t', num_classes=0).num_features)")
        == "512"
    )


@pytest.mark.parametrize("name", medvlp.__all__)
def test_every_public_name_is_there_and_listed(name: str) -> None:
    assert getattr(medvlp, name)
    assert name in dir(medvlp)


@pytest.mark.parametrize("room", ["io", "data", "models", "training", "tasks", "evaluation", "experiments"])
def test_every_name_of_a_room_is_there_once_and_listed(room: str) -> None:
    face = import_module(f"medvlp.{room}")
    assert len(set(face.__all__)) == len(face.__all__)
    assert [name for name in face.__all__ if getattr(face, name, None) is None or name not in dir(face)] == []
    with pytest.raises(AttributeError, match=face.__all__[0]):
        face.no_such_name  # noqa: B018
