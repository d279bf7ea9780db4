"""The method of docs/adding-a-method.md passes every test that a registered method has to pass."""

import importlib.util
import inspect
import re
import sys
from pathlib import Path

import pytest

from medvlp.methods import METHODS

PAGE = Path(__file__).parents[2] / "docs/adding-a-method.md"


def load(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def checks(file):
    module = load(Path(__file__).with_name(file), f"contract_{Path(file).stem}")
    return [f for _, f in inspect.getmembers(module, inspect.isfunction) if "name" in inspect.signature(f).parameters]


@pytest.fixture
def documented(tmp_path, monkeypatch):
    """The name of the method that the page shows, registered for one test."""
    METHODS.names()
    monkeypatch.setattr(METHODS, "_members", dict(METHODS._members))
    METHODS._members.pop("siglip", None)  # a file of the package may have it by now
    (source,) = re.findall(r"```python\n(\"\"\"SigLIP.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)
    file = tmp_path / "documented_method.py"
    file.write_text(source, encoding="utf-8")
    monkeypatch.setitem(sys.modules, "documented_method", None)
    load(file, "documented_method")
    return "siglip"


@pytest.mark.parametrize("check", [*checks("test_step.py"), *checks("test_ranks.py")], ids=lambda check: check.__name__)
def test_the_method_of_the_page(check, documented, request):
    fixtures = [name for name in inspect.signature(check).parameters if name != "name"]
    check(name=documented, **{name: request.getfixturevalue(name) for name in fixtures})
