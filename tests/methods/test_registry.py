"""Methods are found by name, and a wrong name is answered with the nearest."""

import pytest
import torch
from pydantic import ValidationError

from medvlp.methods.base import Method
from medvlp.methods.registry import method_class, method_names, register


def test_the_methods_are_found_by_their_files():
    assert {"clip", "unimodal", "devide"} <= set(method_names())
    assert method_class("devide").__name__ == "DeViDe"


def test_a_misspelt_method_is_answered_with_the_nearest():
    with pytest.raises(KeyError, match=r"did you mean devide\?"):
        method_class("devid")


def test_a_name_belongs_to_one_class():
    with pytest.raises(ValueError, match=r"clip\.CLIP"):
        register("clip")(Method)
    assert register("clip")(method_class("clip")) is method_class("clip")


def test_an_unknown_option_is_refused(build):
    with pytest.raises(ValidationError, match="patch_wieght"):
        build("devide", patch_wieght=1.0)
    with pytest.raises(ValidationError, match="identity"):
        build("clip", false_negatives="same_label")


@pytest.mark.parametrize("name", method_names())
def test_every_option_of_a_method_is_read(name, build, make_batch, monkeypatch):
    kind, read = method_class(name), set()

    class Watched(kind.Options):
        def __getattribute__(self, key):
            read.add(key)
            return super().__getattribute__(key)

    monkeypatch.setattr(kind, "Options", Watched)
    method, batch = build(name), make_batch()
    method.losses(batch)
    with torch.no_grad():
        method.score(batch.images, ["hiatal_hernia" if method.reads_text else "edema"])
    if method.reads_text:
        method.heat_map(batch.images, "pulmonary edema")
    assert set(Watched.model_fields) - read == set()
