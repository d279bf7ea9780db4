"""MedCutMix: what the method is given, when nothing is mixed, and the global vector."""

import pytest
import torch

from medvlp.methods.extras.step import Step
from medvlp.models.image_encoder import ImageEncoder
from medvlp.models.patch_dropping import PatchesDroppedError


def begin(method, extra, batch):
    torch.manual_seed(3)
    return extra.begin(batch, method.text_encoder)


def test_the_method_sees_mixed_features_with_mixed_reports(build, build_extra, make_batch):
    method, extra, batch = build("clip").eval(), build_extra("medcutmix", share=1.0).train(), make_batch(6)
    plain = method.image_encoder(batch.images)
    change = begin(method, extra, batch)
    mixed = change.strength > 0
    assert 0 < mixed.sum() < 6  # some images of the small world have all that the others could give
    with Step(method, change.batch, [change.features]) as step:
        seen = method.image_encoder(change.batch.images)
    assert step.image is seen
    torch.testing.assert_close(seen.global_, seen.patches.mean(1))
    moved = (seen.patches - plain.patches).abs().amax((1, 2)) > 0
    assert moved.tolist() == mixed.tolist()
    assert ((change.batch.findings == 1) & (batch.findings != 1)).any(1).tolist() == mixed.tolist()
    assert (change.batch.text_group != batch.text_group).tolist() == mixed.tolist()
    for before, after in zip(plain.pyramid, seen.pyramid, strict=True):
        assert after.shape == before.shape
        torch.testing.assert_close(after[~mixed], before[~mixed])
        assert (after[mixed] - before[mixed]).abs().amax((1, 2, 3)).min() > 0


def test_each_mixed_patch_lies_between_its_own_and_the_partners(build, build_extra, make_batch):
    method, extra, batch = (
        build("clip").eval(),
        build_extra("medcutmix", share=1.0, keep=(0.0, 0.0)).train(),
        make_batch(6),
    )
    plain = method.image_encoder(batch.images)
    change = begin(method, extra, batch)
    after, donor = change.features(plain), change.drawn.owner[change.chosen]
    row = int(change.strength.argmax())
    best = (extra.patch_head(plain.patches)[donor[row]] @ change.vectors[change.chosen[row]]).argmax()
    torch.testing.assert_close(after.patches[row, best], plain.patches[donor[row], best])


def test_nothing_is_mixed_in_evaluation_mode_or_without_a_diagnostic_sentence(build, build_extra, make_batch):
    method, extra, batch = build("clip").eval(), build_extra("medcutmix", share=1.0), make_batch(6)
    for training, states in ((False, batch.sentence_findings), (True, torch.full_like(batch.sentence_findings, -1))):
        batch.sentence_findings = states
        change = begin(method, extra.train(training), batch)
        assert not change.strength.any()
        assert torch.equal(change.batch.findings, batch.findings)
        plain = method.image_encoder(batch.images)
        torch.testing.assert_close(change.features(plain).patches, plain.patches)


def test_a_trunks_own_pooling_is_mixed_by_the_share_of_the_region(build, build_extra, make_batch, parts):
    method, batch = build("clip").eval(), make_batch(6)
    method.image_encoder = ImageEncoder("test_resnet", image_size=64, dim=32, pool="trunk").eval()
    extra = build_extra("medcutmix", share=1.0).train()
    extra.pools_patches = False
    plain = method.image_encoder(batch.images)
    change = begin(method, extra, batch)
    after, donor = change.features(plain), change.drawn.owner[change.chosen]
    share = (after.global_ - plain.global_).norm(dim=1) / (plain.global_[donor] - plain.global_).norm(dim=1).clamp_min(
        1e-9
    )
    assert (share < 1).all()
    assert (share > 0).tolist() == (change.strength > 0).tolist()


def test_the_pointing_loss_falls_when_sentences_find_their_patches(build, build_extra, make_batch):
    """The mechanism behind the region: its loss tells the right sentence's patches from others."""
    method, extra, batch = build("clip").eval(), build_extra("medcutmix").eval(), make_batch(6)
    change = begin(method, extra, batch)
    _, which = change.drawn.group.unique(return_inverse=True)
    change.vectors = torch.nn.functional.normalize(torch.randn(len(which), 128), dim=1)[which]
    with torch.no_grad():
        change._patches = change.vectors.view(6, 2, -1)  # each image shows what its sentences say
        right = change.losses()["pointing"]
        change._patches = change._patches.roll(3, 0)
        wrong = change.losses()["pointing"]
    assert right < 0.8 * wrong


def test_it_is_refused_with_dropped_patches(build, build_extra, make_batch):
    method, extra, batch = build("clip"), build_extra("medcutmix").train(), make_batch(4)
    method.image_encoder = ImageEncoder("test_vit", image_size=64, dim=32, patch_dropping=0.5).train()
    change = begin(method, extra, batch)
    with pytest.raises(PatchesDroppedError, match="patch_dropping"), Step(method, change.batch, [change.features]):
        method.losses(change.batch)


def test_a_method_that_encodes_other_images_cannot_be_augmented(build, build_extra, make_batch):
    method, extra, batch = build("clip"), build_extra("medcutmix"), make_batch(4)
    change = begin(method, extra, batch)
    with pytest.raises(RuntimeError, match="leave that extra out"), Step(method, change.batch, [change.features]):
        method.image_encoder(batch.images + 1)


@pytest.mark.parametrize("name", ["devide", "unimodal", "medklip", "medslip"])
def test_any_method_with_a_text_tower_can_be_augmented(build_with, make_batch, name):
    if name == "unimodal":
        with pytest.raises(ValueError, match="text tower"):
            build_with(name, medcutmix={})
        return
    losses = build_with(name, medcutmix={"share": 1.0}).train().losses(make_batch())
    assert torch.stack(list(losses.values())).isfinite().all()
    assert "medcutmix/pointing" in losses
