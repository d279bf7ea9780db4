"""BioViL: contrast and hidden words, shuffled sentences, prompts averaged before the norm, and smoothed grounding."""

import math

import torch
from scipy.ndimage import gaussian_filter
from torch.nn import functional as F

from medvlp.methods.base import MethodParts
from medvlp.methods.biovil import BioViL, shuffle_sentences
from medvlp.models import ImageFeatures, TextFeatures


def mean_of_projected_patches(method, images):
    patches = method.image_encoder(images).patches
    projected = [torch.stack([method.image_head.layers(patch) for patch in one]) for one in patches]
    return torch.stack([F.normalize(one.mean(0), dim=0) for one in projected])


def test_the_contrast_is_symmetric_at_its_own_temperature(build, make_batch):
    method, batch = build("biovil", false_negatives="identity").eval(), make_batch(5)
    image = mean_of_projected_patches(method, batch.images)
    text = method.text_encoder(batch.report_tokens, batch.report_mask).global_
    logits = image @ F.normalize(method.text_head.layers(text), dim=1).t() / 0.5
    own = torch.arange(5)
    expected = (F.cross_entropy(logits, own) + F.cross_entropy(logits.t(), own)) / 2
    torch.testing.assert_close(method(batch)["contrast"], expected)


def test_an_image_is_the_mean_of_its_projected_patches_and_not_the_projection_of_their_mean(build, make_batch):
    method, images, patches = build("biovil").eval(), make_batch(3).images, torch.randn(3, 16, 32)
    method.image_encoder.forward = lambda images: ImageFeatures(patches.mean(1), patches, (4, 4), [])
    features = method.encode_images(images)
    expected = mean_of_projected_patches(method, images)
    torch.testing.assert_close(features.global_, expected)
    torch.testing.assert_close(features.patches, method.image_head(patches))
    assert not torch.allclose(expected, method.image_head(patches.mean(1)), atol=0.1)


def test_hidden_words_are_told_from_the_rest(build, make_batch):
    method, batch = build("biovil", masked_rate=0.3).eval(), make_batch(4)
    special = {method.tokenizer.cls_id, method.tokenizer.sep_id}
    terms = []
    for ids, mask in zip(batch.report_tokens, batch.report_mask, strict=True):
        words = [t for t in range(len(ids)) if mask[t] and int(ids[t]) not in special]
        spread = {t: math.fmod((t + 1) * 0.6180339887498949, 1.0) for t in words}
        hidden = sorted(words, key=lambda t: -spread[t])[: round(0.3 * len(words))]
        seen = ids.clone()
        seen[hidden] = method.tokenizer.mask_id
        tokens = method.text_encoder(seen[None], mask[None]).tokens[0]
        for t in hidden:
            feature = method.masked_head.norm(F.gelu(method.masked_head.dense(tokens[t])))
            logits = method.text_encoder.network.embeddings.word_embeddings.weight @ feature
            terms.append(-logits.log_softmax(0)[ids[t]])
    torch.testing.assert_close(method(batch)["masked_words"], 0.1 * torch.stack(terms).mean())


def test_hidden_words_are_drawn_anew_in_training_and_may_be_left_out(build, make_batch):
    batch = make_batch()
    method = build("biovil", shuffle=False).train()
    assert method(batch)["masked_words"] != method(batch)["masked_words"]
    assert set(build("biovil", masked_weight=0.0)(batch)) == {"contrast"}


def test_a_frozen_text_tower_guesses_no_words(build, make_batch):
    method = build("biovil")
    method.text_encoder.frozen = True
    parts = MethodParts(method.image_encoder, method.text_encoder, method.tokenizer, method.findings, method.book)
    assert set(BioViL(parts, method.options)(make_batch())) == {"contrast"}


def test_the_contrast_reads_words_that_are_hidden_from_the_other_loss(build, make_batch):
    batch = make_batch()
    rarely, often = (build("biovil", masked_rate=rate).eval()(batch) for rate in (0.1, 0.9))
    torch.testing.assert_close(rarely["contrast"], often["contrast"])
    assert rarely["masked_words"] != often["masked_words"]


def test_sentences_are_shuffled_and_nothing_else(tokenizer, make_batch):
    torch.manual_seed(0)
    batch, seen = make_batch(1), set()
    said = ["There is a small left pleural effusion.", "No pneumothorax.", "The heart is enlarged."]
    tokens, mask = tokenizer(said, 48)  # whole, where those of the fixture are cut off
    batch.sentence_tokens, batch.sentence_mask = tokens[None], mask[None]
    for _ in range(60):
        shuffled = shuffle_sentences(batch, tokenizer)
        assert torch.equal(shuffled.report_tokens.sort(1).values, batch.report_tokens.sort(1).values)
        assert torch.equal(shuffled.report_mask, batch.report_mask)
        seen.add(tuple(shuffled.report_tokens[0].tolist()))
    assert len(seen) == 6  # orders of three sentences
    assert tuple(batch.report_tokens[0].tolist()) in seen


def test_reports_without_sentences_stay_and_missing_reports_stay_missing(tokenizer, make_batch):
    batch = make_batch(4)
    batch.sentence_mask[1] = False
    batch.report_mask[2] = False
    shuffled = shuffle_sentences(batch, tokenizer)
    assert torch.equal(shuffled.report_tokens[1], batch.report_tokens[1])
    assert shuffled.report_mask[1].any()
    assert not shuffled.report_mask[2].any()


def test_training_reads_sentences_in_another_order_each_time(build, make_batch):
    batch = make_batch()
    for shuffle in (True, False):
        method = build("biovil", shuffle=shuffle, masked_weight=0.0).train()
        seen = {method(batch)["contrast"].item() for _ in range(4)}
        assert (len(seen) > 1) == shuffle


def test_validation_reads_reports_as_they_are(build, make_batch):
    batch = make_batch()
    method = build("biovil").eval()
    torch.testing.assert_close(method(batch), build("biovil", shuffle=False).eval()(batch))
    torch.testing.assert_close(method(batch), method(batch))


def test_prompts_are_averaged_before_they_are_normalized(build, make_batch):
    method, images = build("biovil").eval(), make_batch(3).images
    encode = method.bank
    method.bank = lambda texts: TextFeatures(  # of unequal length, where the two ways differ
        torch.stack([encode([text]).global_[0] * (1 + 5 * ("there" in text)) for text in texts]), None, None
    )
    image = method.encode_images(images).global_
    name = "pulmonary edema"
    said = [
        (f"findings consistent with {name}.", f"there is {name}.", f"{name} is seen."),
        (f"no evidence of {name}.", f"there is no {name}.", f"no {name} is seen."),
    ]
    raw = [method.text_head.layers(method.bank(texts).global_) for texts in said]
    before = [F.normalize(x.mean(0), dim=0) for x in raw]
    expected = (torch.stack([image @ text for text in before], 1) / 0.5).softmax(1)[:, 0]
    torch.testing.assert_close(method.score(images, ["edema"])[:, 0], expected)
    after = [F.normalize(F.normalize(x, dim=1).mean(0), dim=0) for x in raw]
    assert not torch.allclose(before[0], after[0], atol=1e-4)


def test_identical_prompts_are_one(build, make_batch):
    images = make_batch(3).images
    one, three = (build("biovil", prompts=[("{}", "no {}")] * n).eval() for n in (1, 3))
    torch.testing.assert_close(one.score(images, ["edema"]), three.score(images, ["edema"]))


def test_heat_maps_are_smoothed_cosines_of_patches(build, make_batch):
    images = make_batch(2).images
    method, plain = build("biovil").eval(), build("biovil", smoothing=0.0).eval()
    features, text = plain.encode_images(images), plain.encode_texts(["left pleural effusion"])
    cosine = (features.patches @ text.global_[0]).unflatten(1, (4, 4))
    torch.testing.assert_close(plain.heat_map(images, "left pleural effusion"), cosine)
    smooth = torch.stack([torch.from_numpy(gaussian_filter(one.detach().numpy(), 0.4)) for one in cosine])
    torch.testing.assert_close(method.heat_map(images, "left pleural effusion"), smooth)
