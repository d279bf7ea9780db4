"""MedCutMix: what the method is given, when nothing is mixed, and the global vector."""

import pytest
import torch

from medvlp.models import ImageEncoder, PatchesDroppedError
from medvlp.objectives import attention_region, info_nce, patch_sentence_similarity, sentence_targets


def augmented(method, auxiliary, batch):
    torch.manual_seed(3)
    return auxiliary.augment(batch, method.text_encoder)


def test_the_method_sees_mixed_features_with_mixed_reports(build, build_auxiliary, make_batch):
    method, auxiliary, batch = build("clip").eval(), build_auxiliary("medcutmix", share=1.0).train(), make_batch(6)
    plain = method.image_encoder(batch.images)
    change = augmented(method, auxiliary, batch)
    mixed = change.strength > 0
    assert 0 < mixed.sum() < 6  # some images of the small world have all that the others could give
    seen = change.augment_features(method.image_encoder(change.batch.images))
    torch.testing.assert_close(seen.global_, seen.patches.mean(1))
    moved = (seen.patches - plain.patches).abs().amax((1, 2)) > 0
    assert moved.tolist() == mixed.tolist()
    assert ((change.batch.findings == 1) & (batch.findings != 1)).any(1).tolist() == mixed.tolist()
    assert (change.batch.text_group != batch.text_group).tolist() == mixed.tolist()
    for before, after in zip(plain.pyramid, seen.pyramid, strict=True):
        assert after.shape == before.shape
        torch.testing.assert_close(after[~mixed], before[~mixed])
        assert (after[mixed] - before[mixed]).abs().amax((1, 2, 3)).min() > 0


def test_patches_and_maps_are_mixed_where_the_sentence_points(build, build_auxiliary, make_batch):
    method, batch = build("clip").eval(), make_batch(6)
    auxiliary = build_auxiliary("medcutmix", share=1.0, keep=(0.2, 0.4)).train()
    plain = method.image_encoder(batch.images)
    change = augmented(method, auxiliary, batch)
    assert all(s == 0 or 0.6 <= s <= 0.8 for s in change.strength.tolist())
    after, sharpness = change.augment_features(plain), auxiliary.attention_scale.scale
    fine, same = plain.pyramid[-2], after.pyramid[-2]  # on the grid of the patches
    for i, sentence in enumerate(change.chosen.tolist()):
        j = sentence // 2  # of which there are two a report
        attention = (sharpness * auxiliary.patch_head(plain.patches[j]) @ change.vectors[sentence]).softmax(0)
        share = change.strength[i] * (attention - attention.min()) / (attention.max() - attention.min())
        expected = (1 - share)[:, None] * plain.patches[i] + share[:, None] * plain.patches[j]
        torch.testing.assert_close(after.patches[i], expected, rtol=1e-4, atol=1e-5)
        on_grid = share.unflatten(0, plain.grid)
        torch.testing.assert_close(same[i], (1 - on_grid) * fine[i] + on_grid * fine[j], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("why", ["evaluation", "no share", "no diagnostic sentence"])
def test_nothing_is_mixed(build, build_auxiliary, make_batch, why):
    method, batch = build("clip").eval(), make_batch(6)
    auxiliary = build_auxiliary("medcutmix", share=0.0 if why == "no share" else 1.0).train(why != "evaluation")
    if why == "no diagnostic sentence":
        batch.sentence_findings[:] = -1
    change = augmented(method, auxiliary, batch)
    assert not change.strength.any()
    assert torch.equal(change.batch.findings, batch.findings)
    plain = method.image_encoder(batch.images)
    torch.testing.assert_close(change.augment_features(plain).patches, plain.patches)


def test_a_trunks_own_pooling_is_mixed_by_the_share_of_the_region(build, build_auxiliary, make_batch):
    method, batch = build("clip").eval(), make_batch(6)
    method.image_encoder = ImageEncoder("test_resnet", image_size=64, dim=32, pool="trunk").eval()
    auxiliary = build_auxiliary("medcutmix", share=1.0).train()
    auxiliary.pools_patches = False
    plain = method.image_encoder(batch.images)
    change = augmented(method, auxiliary, batch)
    donor, patches = change.drawn.image_index[change.chosen], auxiliary.patch_head(plain.patches)
    region = attention_region(change.vectors[change.chosen], patches[donor], auxiliary.attention_scale.scale)
    share = (change.strength * region.mean(1))[:, None]
    expected = (1 - share) * plain.global_ + share * plain.global_[donor]
    torch.testing.assert_close(change.augment_features(plain).global_, expected)


def test_the_pointing_loss_is_of_sentences_that_say_what_is_there_and_of_images_as_they_are(
    build, build_auxiliary, make_batch
):
    method, batch = build("clip").eval(), make_batch(6)
    auxiliary = build_auxiliary("medcutmix", share=1.0, sentences=3).train()
    plain = method.image_encoder(batch.images)
    change = augmented(method, auxiliary, batch)
    change.augment_features(plain)
    drawn, sharpness = change.drawn, auxiliary.attention_scale.scale
    similarity = patch_sentence_similarity(auxiliary.patch_head(plain.patches), change.vectors, sharpness)
    stated = drawn.states, batch.findings, drawn.image_index, drawn.group
    target, valid = sentence_targets(*stated, unmentioned="negative")
    assert not drawn.has_present.all()
    expected = info_nce(similarity / 0.07, target.float(), valid & drawn.has_present)
    torch.testing.assert_close(change.losses()["pointing"], expected)


def test_the_pointing_loss_falls_when_sentences_find_their_patches(build, build_auxiliary, make_batch):
    """The mechanism behind the region: its loss tells the right sentence's patches from others."""
    method, auxiliary, batch = build("clip").eval(), build_auxiliary("medcutmix").eval(), make_batch(6)
    change = augmented(method, auxiliary, batch)
    _, which = change.drawn.group.unique(return_inverse=True)
    change.vectors = torch.nn.functional.normalize(torch.randn(len(which), 128), dim=1)[which]
    with torch.no_grad():
        change._patches = change.vectors.view(6, 2, -1)  # each image shows what its sentences say
        right = change.losses()["pointing"]
        change._patches = change._patches.roll(3, 0)
        wrong = change.losses()["pointing"]
    assert right < 0.8 * wrong


def test_it_is_refused_with_dropped_patches(build, build_auxiliary, make_batch):
    method, auxiliary, batch = build("clip"), build_auxiliary("medcutmix").train(), make_batch(4)
    method.image_encoder = ImageEncoder("test_vit", image_size=64, dim=32, patch_dropping=0.5).train()
    change = augmented(method, auxiliary, batch)
    with pytest.raises(PatchesDroppedError, match="patch_dropping"):
        change.augment_features(method.encode(change.batch).image)


@pytest.mark.parametrize("name", ["devide", "unimodal", "medklip", "medslip"])
def test_any_method_with_a_text_tower_can_be_augmented(build_with, make_batch, name):
    if name == "unimodal":
        with pytest.raises(ValueError, match="text tower"):
            build_with(name, medcutmix={})
        return
    losses = build_with(name, medcutmix={"share": 1.0}).train().losses(make_batch())
    assert torch.stack(list(losses.values())).isfinite().all()
    assert "medcutmix/pointing" in losses
