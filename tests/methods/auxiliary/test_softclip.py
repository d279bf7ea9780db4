"""SoftCLIP: the loss written out, and what the guidance does."""

import torch
from torch.nn import functional as F


def test_the_loss_is_the_mean_of_both_directions(build, build_auxiliary, make_batch):
    batch, auxiliary = make_batch(4), build_auxiliary("softclip", share=0.3, sharpness=5.0, relations=0.5)
    encoded = build("clip").eval().encode(batch)
    seen, read = encoded.image.global_.detach(), encoded.report.global_.detach()
    image, text = (
        F.normalize(head.layers(x), dim=1) for head, x in ((auxiliary.image_head, seen), (auxiliary.text_head, read))
    )
    expected = 0.0
    for logits, guide in ((image @ text.t() / 0.07, seen), (text @ image.t() / 0.07, read)):
        centered = guide - guide.mean(0)
        alike = 5 * F.cosine_similarity(centered[:, None], centered[None], dim=2)
        for i in range(4):
            others = [j for j in range(4) if j != i]
            target = 0.3 * alike[i].softmax(0) + 0.7 * F.one_hot(torch.tensor(i), 4)
            expected += F.kl_div(logits[i].log_softmax(0), target, reduction="sum") / 8
            among = F.kl_div(logits[i, others].log_softmax(0), alike[i, others].softmax(0), reduction="sum")
            expected += 0.5 * among / 8
    torch.testing.assert_close(auxiliary.losses(batch, encoded)["contrast"], expected, rtol=1e-4, atol=1e-5)


def test_an_image_without_report_changes_nothing_for_the_others(build, build_auxiliary, make_batch):
    batch, smaller, auxiliary = make_batch(5), make_batch(5), build_auxiliary("softclip")
    batch.report_mask[4] = False
    for field in ("images", "report_tokens", "report_mask"):
        setattr(smaller, field, getattr(batch, field)[:4])
    method = build("clip").eval()
    torch.testing.assert_close(
        auxiliary.losses(batch, method.encode(batch)), auxiliary.losses(smaller, method.encode(smaller))
    )
