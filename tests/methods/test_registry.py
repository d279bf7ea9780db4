"""Methods are found by name, and a wrong name is answered with the nearest."""

import logging
import sys

import pytest
import torch
from pydantic import ValidationError

from medvlp.methods.base import METHODS, Method, build_method, register_method
from medvlp.training.assemble import check_recipe
from medvlp.training.recipe import Recipe
from medvlp.training.recipe_errors import RecipeError


def test_the_methods_are_found_by_their_files():
    assert {"clip", "unimodal", "devide"} <= set(METHODS.names())
    assert METHODS.get("devide").__name__ == "DeViDe"


def test_a_misspelled_method_is_answered_with_the_nearest():
    with pytest.raises(KeyError, match=r'no method "devid"; did you mean "devide"\?'):
        METHODS.get("devid")


def test_a_name_belongs_to_one_class():
    with pytest.raises(ValueError, match=r"clip\.CLIP"):
        register_method("clip")(Method)
    assert register_method("clip")(METHODS.get("clip")) is METHODS.get("clip")


def test_an_unknown_option_is_refused(build):
    with pytest.raises(ValidationError, match="patch_wieght"):
        build("devide", patch_wieght=1.0)
    with pytest.raises(ValidationError, match="identity"):
        build("clip", false_negatives="same_label")


@pytest.mark.parametrize("name", METHODS.names())
def test_every_option_of_a_method_is_read(name, build, make_batch, monkeypatch):
    kind, read = METHODS.get(name), set()

    class Watched(kind.Options):
        def __getattribute__(self, key):
            read.add(key)
            return super().__getattribute__(key)

    monkeypatch.setattr(kind, "Options", Watched)
    method, batch = build(name), make_batch()
    method(batch)
    with torch.no_grad():
        method.score(batch.images, ["hiatal_hernia" if method.reads_text else "edema"])
    if method.reads_text:
        method.heat_map(batch.images, "pulmonary edema")
    assert set(Watched.model_fields) - read == set()


@pytest.fixture
def install(tmp_path, monkeypatch):
    """A function that installs a package with one module, `{name in recipes: class}` being its entry points."""
    METHODS.names()
    monkeypatch.setattr(METHODS, "_members", dict(METHODS._members))
    monkeypatch.setattr(METHODS, "_refused", {})
    monkeypatch.syspath_prepend(tmp_path)
    modules = set(sys.modules)

    def package(name, source, entries):
        (tmp_path / f"{name}.py").write_text(source)
        info = tmp_path / f"{name}-1.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
        lines = [f"{method} = {name}:{cls}" for method, cls in entries.items()]
        (info / "entry_points.txt").write_text("\n".join(["[medvlp.methods]", *lines]) + "\n")
        monkeypatch.setattr(METHODS, "_waiting", None)

    yield package
    for name in set(sys.modules) - modules:
        if name.startswith("plug_"):
            del sys.modules[name]


RECIPE = {"method": "mine", "findings": ["edema"], "data": {"store": "store"}}
SUBCLASS = "from medvlp.methods.clip import CLIP\nclass Mine(CLIP): ...\n"


def test_an_installed_package_brings_a_method(install, build):
    install("plug_good", SUBCLASS, {"mine": "Mine"})
    assert "plug_good" not in sys.modules  # nobody has asked yet
    assert "mine" in METHODS.names()
    parts = build("clip")
    made = build_method(
        "mine",
        image_encoder=parts.image_encoder,
        text_encoder=parts.text_encoder,
        tokenizer=parts.tokenizer,
        findings=parts.findings,
        book=parts.book,
        options={"dim": 16},
    )
    assert type(made).__module__ == "plug_good"
    check_recipe(Recipe.from_dict({**RECIPE, "options": {"dim": 16}}))


def test_a_plug_in_may_ask_for_a_method_while_it_is_imported(install, caplog):
    install("plug_asking", "from medvlp.methods.base import METHODS, register_method\n@register_method('mine')\n"
            "class Mine(METHODS.get('clip')): ...\n", {"mine": "Mine"})  # fmt: skip
    assert issubclass(METHODS.get("mine"), METHODS.get("clip"))
    assert caplog.records == []


@pytest.mark.parametrize(
    ("source", "entries", "why"),
    [
        ("import no_such_module", {"mine": "Mine"}, "ModuleNotFoundError: No module named 'no_such_module'"),
        ("1 / 0", {"mine": "Mine"}, "ZeroDivisionError: division by zero"),
        ("Mine = 3", {"mine": "Mine"}, "TypeError: 3 is no class derived from Method"),
        (SUBCLASS, {"mine": "Other"}, "AttributeError: module 'plug_bad' has no attribute 'Other'"),
        (SUBCLASS, {"clip": "Mine"}, "ValueError: the method 'clip' is already medvlp.methods.clip.CLIP"),
    ],
)
def test_a_broken_plug_in_is_named_and_breaks_no_other(install, caplog, source, entries, why):
    install("plug_bad", source, entries)
    install("plug_good", SUBCLASS, {"ours": "Mine"})
    (name,) = entries
    with caplog.at_level(logging.WARNING):
        assert {"ours", "devide", "clip"} <= set(METHODS.names())
        METHODS.names()
    (said,) = [record.getMessage() for record in caplog.records]  # once
    assert said.startswith(f"the method '{name}' (plug_bad:")
    assert f"of plug_bad 1.5 cannot be used: {why}" in said
    if name == "clip":
        assert METHODS.get("clip").__module__ == "medvlp.methods.clip"
        return
    with pytest.raises(KeyError, match=r"of plug_bad 1\.5 cannot be used"):
        METHODS.get(name)
    with pytest.raises(RecipeError, match=r"method: 'mine' .*of plug_bad 1\.5 cannot be used"):
        check_recipe(Recipe.from_dict(RECIPE))


def test_of_two_plug_ins_with_one_name_the_second_is_refused(install, caplog):
    install("plug_a", SUBCLASS, {"mine": "Mine"})
    install("plug_b", SUBCLASS, {"mine": "Mine"})
    assert METHODS.get("mine").__module__ == "plug_a"
    assert "of plug_b 1.5 cannot be used: ValueError: the method 'mine' is already plug_a.Mine" in caplog.text
