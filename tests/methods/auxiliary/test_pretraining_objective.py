"""A method with auxiliary losses is the method, with more losses; and no encoder is asked twice."""

import re
from copy import deepcopy

import pytest
import torch

from medvlp.methods.auxiliary.base import AUXILIARY, Augmentation, AuxiliaryLoss, register_auxiliary
from medvlp.methods.clip import CLIP
from medvlp.methods.pretraining_objective import current_names
from medvlp.models import ONE_RANK, OneRank

LOSSES = [name for name in AUXILIARY for kind in [AUXILIARY.get(name)] if issubclass(kind, AuxiliaryLoss)]
AUGMENTATIONS = [name for name in AUXILIARY for kind in [AUXILIARY.get(name)] if issubclass(kind, Augmentation)]


def counted(module, calls):
    forward = module.forward

    def counting(*given):
        calls.append(given)
        return forward(*given)

    module.forward = counting


def test_the_methods_losses_stay_and_those_of_an_extra_have_its_name(build, build_with, make_batch):
    batch = make_batch()
    alone, whole = build("clip").eval()(batch), build_with("clip", filip={}).eval().losses(batch)
    assert list(whole) == ["contrast", "filip/contrast"]
    torch.testing.assert_close(whole["contrast"], alone["contrast"])
    light = build_with("clip", filip={"weight": 0.25}).eval().losses(batch)
    torch.testing.assert_close(light["filip/contrast"], 0.25 * whole["filip/contrast"])


def test_nothing_is_encoded_twice(build_with, make_batch):
    method, images, texts = build_with("clip", **{name: {} for name in LOSSES}).train(), [], []
    counted(method.method.image_encoder, images)
    counted(method.method.text_encoder, texts)
    method.losses(make_batch())
    assert (len(images), len(texts)) == (1, 1)


def test_reports_that_a_method_never_reads_are_encoded_once(build_with, make_batch):
    batch, texts = make_batch(), []
    method = build_with("medklip", filip={}, softclip={}).eval()
    counted(method.method.text_encoder, texts)
    assert method.losses(batch)["filip/contrast"].isfinite()
    assert sum(given[0] is batch.report_tokens for given in texts) == 1


def test_the_losses_of_the_method_and_of_others_receive_one_encoding(build_with, make_batch, monkeypatch):
    objective, batch, given = build_with("devide", filip={}, medcutmix={"share": 1.0}).train(), make_batch(), []
    for part in (objective.method, objective.auxiliary["filip"]):
        compare = part.losses
        monkeypatch.setattr(part, "losses", lambda *a, compare=compare: given.append(a) or compare(*a))
    torch.manual_seed(3)
    plain = objective.method.encode(batch).image
    torch.manual_seed(3)
    objective.losses(batch)
    (mixed, encoded), (again, same) = given
    assert mixed is again
    assert encoded is same
    assert (mixed.findings != batch.findings).any()
    assert (encoded.image.patches - plain.patches).abs().amax((1, 2)).max() > 1e-3


def test_the_method_stays_as_it_is(build, build_with, make_batch):
    alone, whole, images = build("clip").eval(), build_with("clip", filip={}).eval().method, make_batch(3).images
    torch.testing.assert_close(whole.score(images, ["edema"]), alone.score(images, ["edema"]))
    assert (type(whole), whole.findings, whole.options) == (CLIP, alone.findings, alone.options)


def test_what_is_saved_is_the_method_alone_without_auxiliary_losses(build, build_with):
    assert build_with("clip").model.state_dict().keys() == build("clip").state_dict().keys()
    saved = build_with("clip", filip={}).model.state_dict()
    assert {name.split(".")[0] for name in saved} == {"method", "auxiliary"}


def test_weights_of_the_old_names_load_with_a_message(build_with, caplog):
    objective = build_with("clip", filip={}, tcl={})
    old = {
        re.sub(r"^auxiliary\.", "extras.", name): 0 * tensor for name, tensor in objective.model.state_dict().items()
    }
    objective.model.load_state_dict(current_names(old))
    assert not any(tensor.any() for tensor in objective.model.state_dict().values())
    assert "read as `auxiliary.*`" in caplog.text


def test_what_either_needs_is_needed(build_with):
    assert build_with("clip", filip={}).required_fields == {"reports"}
    assert build_with("unimodal", superclass={}).required_fields == {"findings", "reports"}
    assert build_with("clip").required_fields == {"reports"}


def test_ranks_reach_the_method_and_every_extra(build_with):
    method = build_with("clip", **{name: {} for name in AUXILIARY})
    ranks = OneRank()
    assert method.ranks is ONE_RANK
    method.ranks = ranks
    assert all(part.ranks is ranks for part in (method, method.method, *method.auxiliary.values()))


@pytest.mark.parametrize("name", [name for name in AUXILIARY for kind in [AUXILIARY.get(name)] if kind.reads_text])
def test_a_method_without_a_text_tower_refuses_extras_that_read(build_with, name):
    with pytest.raises(ValueError, match=rf"auxiliary\.{name}: .*Unimodal has none.* such as clip"):
        build_with("unimodal", **{name: {}})


def test_a_copy_has_weights_of_its_own(build_with, make_batch):
    method, batch = build_with("clip", filip={}).eval(), make_batch()
    before = method.losses(batch)["filip/contrast"]
    twin = deepcopy(method)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    torch.testing.assert_close(method.losses(batch)["filip/contrast"], before)


def test_a_name_belongs_to_one_extra():
    with pytest.raises(ValueError, match=r"filip\.FILIP"):
        register_auxiliary("filip")(AuxiliaryLoss)
