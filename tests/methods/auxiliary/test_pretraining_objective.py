"""A method with auxiliary losses is the method, with more losses; and no encoder is asked twice."""

from copy import deepcopy

import pytest
import torch

from medvlp.methods.auxiliary.base import Augmentation, AuxiliaryLoss
from medvlp.methods.auxiliary.registry import AUXILIARY, register_auxiliary
from medvlp.methods.auxiliary.step import Step
from medvlp.methods.clip import CLIP
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
    alone, whole = build("clip").eval().losses(batch), build_with("clip", filip={}).eval().losses(batch)
    assert list(whole) == ["contrast", "filip/contrast"]
    torch.testing.assert_close(whole["contrast"], alone["contrast"])
    light = build_with("clip", filip={"weight": 0.25}).eval().losses(batch)
    torch.testing.assert_close(light["filip/contrast"], 0.25 * whole["filip/contrast"])


def test_nothing_is_encoded_twice(build_with, make_batch):
    method, images, texts = build_with("clip", **{name: {} for name in LOSSES}).train(), [], []
    counted(method.image_encoder, images)
    counted(method.text_encoder, texts)
    method.losses(make_batch())
    assert (len(images), len(texts)) == (1, 1)


def test_reports_that_a_method_never_reads_are_encoded_once(build_with, make_batch):
    batch, texts = make_batch(), []
    method = build_with("medklip", filip={}, softclip={}).eval()
    counted(method.text_encoder, texts)
    assert method.losses(batch)["filip/contrast"].isfinite()
    assert sum(given[0] is batch.report_tokens for given in texts) == 1


def test_the_encoders_are_watched_only_during_a_step(build_with, make_batch):
    method = build_with("clip", filip={})
    method.losses(make_batch())
    assert not method.image_encoder._forward_hooks
    assert not method.text_encoder._forward_hooks
    batch = make_batch()
    with pytest.raises(ValueError, match="broken"), Step(method, batch):
        raise ValueError("broken")
    assert not method.image_encoder._forward_hooks


def test_an_extra_sees_what_the_method_saw_with_its_gradient(build, make_batch):
    method, batch = build("clip").train(), make_batch()
    with Step(method, batch) as step:
        method.image_encoder(torch.randn(2, 1, 64, 64))  # other images are not the step's
        features = method.image_encoder(batch.images)
        method.read_reports(batch)
    assert step.image is features
    step.image.global_.sum().backward()
    assert method.image_encoder.trunk.conv1[0].weight.grad is not None


def test_all_verbs_and_attributes_are_the_methods_own(build, build_with, make_batch):
    alone, whole, images = build("clip").eval(), build_with("clip", filip={}).eval(), make_batch(3).images
    torch.testing.assert_close(whole.score(images, ["edema"]), alone.score(images, ["edema"]))
    torch.testing.assert_close(whole.encode_images(images).global_, alone.encode_images(images).global_)
    torch.testing.assert_close(whole.encode_texts(["edema"]).global_, alone.encode_texts(["edema"]).global_)
    torch.testing.assert_close(whole.heat_map(images, "edema"), alone.heat_map(images, "edema"))
    assert whole.image_encoder is whole.method.image_encoder
    assert (whole.findings, whole.options, whole.book) == (alone.findings, alone.options, alone.book)
    assert whole.pair_cosines(images, ["edema"]).shape[-1] == 1
    with pytest.raises(AttributeError, match="patch_heads"):
        _ = whole.patch_heads


def test_what_either_needs_is_needed(build_with):
    assert build_with("clip", filip={}).required_fields == {"reports"}
    assert build_with("unimodal", superclass={}).required_fields == {"findings", "reports"}
    assert build_with("unimodal", superclass={}).reads_text is False
    assert type(build_with("clip")) is CLIP


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
