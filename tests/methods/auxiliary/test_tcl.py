"""TCL: the queue, the twins, and the terms written out."""

import torch
from torch.nn import functional as F

from medvlp.objectives import global_local_contrast, row_hash


def test_the_whole_terms_are_cross_entropy_against_batch_and_queue(build, build_auxiliary, make_batch):
    auxiliary = build_auxiliary("tcl", queue=5).eval()
    auxiliary.images.push(torch.zeros(3, 128))
    auxiliary.texts.push(torch.zeros(3, 128), torch.tensor([11, 12, 13]))
    batch = make_batch(4)
    encoded = build("clip").eval().encode(batch)
    image, text = auxiliary.image_head(encoded.image.global_), auxiliary.text_head(encoded.report.global_)
    for query, queue in (
        (image, auxiliary.images),
        (text, auxiliary.texts),
    ):  # near enough to count
        queue.features.copy_(F.normalize(query[:1].detach() + 0.03 * torch.randn(5, 128), dim=1))
    losses, own = auxiliary.losses(batch, encoded), torch.arange(4)
    for name, query, queue in (("image", image, auxiliary.images), ("text", text, auxiliary.texts)):
        keys = torch.cat([query.detach(), queue.features[:3]])  # in evaluation mode the twins are what they follow
        expected = F.cross_entropy(query @ keys.t() / 0.07, own) / 4
        torch.testing.assert_close(losses[name], expected, rtol=1e-4, atol=1e-5)


def test_the_terms_of_parts_read_all_patches_and_the_words_without_cls_and_sep(build, build_auxiliary, make_batch):
    batch, auxiliary = make_batch(4), build_auxiliary("tcl").eval()
    encoded = build("clip").eval().encode(batch)
    losses, place = auxiliary.losses(batch, encoded), torch.arange(batch.report_mask.shape[1])
    words = batch.report_mask & (place > 0) & (place < batch.report_mask.sum(1, keepdim=True) - 1)
    terms = {
        "image_parts": (auxiliary.image_head, encoded.image.global_, encoded.image.patches, torch.ones(4, 16).bool()),
        "text_parts": (auxiliary.text_head, encoded.report.global_, encoded.report.tokens, words),
    }
    for name, (head, whole, parts, counts) in terms.items():
        expected = global_local_contrast(head(whole), head(parts), counts, torch.arange(4), 1 / 0.07) / 4
        torch.testing.assert_close(losses[name], expected, rtol=1e-4, atol=1e-5)


def test_twins_follow_and_queues_fill_in_training_alone(build, build_auxiliary, make_batch):
    method, auxiliary, batch = build("clip"), build_auxiliary("tcl", queue=8, decay=0.5), make_batch(3)
    auxiliary.eval().losses(batch, method.encode(batch))
    assert not auxiliary.images.filled.any()
    batch.report_mask[1] = False
    followed = (
        (auxiliary.image_twin, method.image_encoder),
        (auxiliary.text_twin, method.text_encoder),
        (auxiliary.image_head_twin, auxiliary.image_head),
        (auxiliary.text_head_twin, auxiliary.text_head),
    )
    with torch.no_grad():
        for _, module in followed:
            for weight in module.parameters():
                weight.add_(1.0)
    auxiliary.train().update(method)
    auxiliary.losses(batch, method.encode(batch))
    assert auxiliary.images.filled.sum() == 3
    assert (auxiliary.texts.groups != -1).sum() == 2  # an image without report leaves no text behind
    for twin, module in followed:
        for slow, weight in zip(twin.twin.parameters(), module.parameters(), strict=True):
            torch.testing.assert_close(slow, weight - 0.5)


def test_an_image_has_another_view_in_training_alone(build, build_auxiliary, make_batch):
    method, auxiliary, batch = build("clip").eval(), build_auxiliary("tcl"), make_batch(3)
    encoded = method.encode(batch)
    same, other = auxiliary.eval().losses(batch, encoded), auxiliary.train().losses(batch, encoded)
    assert (same["image"] - other["image"]).abs() > 1e-4
    torch.testing.assert_close(same["text"], other["text"])


def test_a_copy_of_a_report_is_right_too_in_the_batch_and_in_the_queue(build, build_auxiliary, make_batch, first):
    batch, auxiliary = make_batch(3), build_auxiliary("tcl", queue=4).eval()
    batch.report_tokens[1], batch.report_mask[1] = batch.report_tokens[0], batch.report_mask[0]
    copy = row_hash(batch.report_tokens, batch.report_mask)[2]
    auxiliary.texts.push(F.normalize(torch.randn(2, 128), dim=1), torch.stack([copy, copy + 1]))
    method = build("clip").eval()
    encoded = method.encode(batch)
    query = auxiliary.text_head(encoded.report.global_)
    keys = torch.cat([query, auxiliary.texts.features[:2]]).detach()
    right = torch.tensor([[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 1, 0]]).float()
    expected = F.cross_entropy(query @ keys.t() / 0.07, right / right.sum(1, keepdim=True)) / 4
    torch.testing.assert_close(auxiliary.losses(batch, encoded)["text"], expected, rtol=1e-4, atol=1e-5)
    batch = first(batch, 2)
    alone = auxiliary.losses(batch, method.encode(batch))
    torch.testing.assert_close(alone["text_parts"], torch.tensor(0.0))  # no words of others to tell its own from


def test_the_terms_keep_views_together_which_a_contrast_of_modalities_does_not_see(build, build_auxiliary, make_batch):
    """The mechanism: features that forget the image cost more than features that know it."""
    method, auxiliary, batch = build("clip").eval(), build_auxiliary("tcl").eval(), make_batch(6)
    batch.images += torch.arange(6.0).view(6, 1, 1, 1)
    known = auxiliary.losses(batch, method.encode(batch))["image"]
    encoded = method.encode(batch)
    encoded.image.global_ = encoded.image.global_[:1].expand(6, -1)
    assert auxiliary.losses(batch, encoded)["image"] > known + 0.02
