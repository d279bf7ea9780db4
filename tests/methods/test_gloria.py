"""GLoRIA: both losses and the zero-shot path written out pair by pair, and what its local contrast sees."""

import math

import pytest
import torch
from torch.nn import functional as F


def slow_local(patches, words):
    """Similarity of one image and the words of one text, without padding: soft maximum of the words' cosines."""
    patches, words = F.normalize(patches, dim=1), F.normalize(words, dim=1)
    similarity = 10 * words @ patches.t()
    attention = (4 * similarity.softmax(0)).softmax(1)
    return torch.logsumexp(5 * F.cosine_similarity(attention @ patches, words, dim=1), 0)


def words_of(method, ids, mask):
    """Words of a text in the local space, piece by piece."""
    tokens = method.text_encoder(ids[None], mask[None]).tokens[0]
    continues = method.tokenizer.continues_word()
    words = []
    for token, i, counts in zip(tokens, ids.tolist(), mask.tolist(), strict=True):
        if not counts or i in (method.tokenizer.cls_id, method.tokenizer.sep_id):
            continue
        if continues[i] and words:
            words[-1].append(token)
        else:
            words.append([token])
    return method.word_head(torch.stack([torch.stack(word).mean(0) for word in words]))


@pytest.fixture
def reports(build, make_batch):
    return build("gloria", read="report", false_negatives="identity").eval(), make_batch(4)


def slow_logits(method, images, ids, mask):
    """Of both losses, `[B, N]`."""
    features, text = method.image_encoder(images), method.text_encoder(ids, mask).global_
    image = F.normalize(method.image_head.layers(features.global_), dim=1)
    text = F.normalize(method.text_head.layers(text), dim=1)
    patches = method.patch_head(features.patches)
    texts = [words_of(method, *row) for row in zip(ids, mask, strict=True)]
    local = torch.stack([torch.stack([10 * slow_local(one, words) for words in texts]) for one in patches])
    return {"global": 10 * image @ text.t(), "local": local}


def test_both_losses_from_their_definition(reports):
    method, batch = reports
    own, losses = torch.arange(4), method(batch)
    for name, logits in slow_logits(method, batch.images, batch.report_tokens, batch.report_mask).items():
        expected = (F.cross_entropy(logits, own) + F.cross_entropy(logits.t(), own)) / 2
        torch.testing.assert_close(losses[name], expected, rtol=1e-4, atol=1e-5)


def test_the_local_contrast_sees_which_patches_stand_in_an_image(reports):
    """Patches that are moved to other images leave the mean of the batch, and the local loss must notice."""
    method, batch = reports
    before = method(batch)
    encode = method.image_encoder.forward

    def exchanged(images):
        features = encode(images)
        features.patches = features.patches.roll(1, 0)
        return features

    method.image_encoder.forward = exchanged
    after = method(batch)
    torch.testing.assert_close(after["global"], before["global"])
    assert abs(after["local"] - before["local"]) > 1e-3


def test_sentences_may_be_right_for_several_images(build, make_batch):
    method, batch = build("gloria", false_negatives="same_labels").eval(), make_batch(6)
    read = torch.arange(6), [0, 0, 0, 0, 1, 0]  # report 4 begins with a sentence that states nothing
    logits = slow_logits(method, batch.images, batch.sentence_tokens[read], batch.sentence_mask[read])
    target = torch.eye(6)
    # The same sentence in 0, 4 and 5, and images that show the same. Sentences that deny are no reason: what 1 denies
    # (pneumothorax) is not known of 3, whose sentence denies an edema.
    for i, j in ((0, 4), (0, 5), (4, 5), (1, 2), (3, 4)):
        target[i, j] = target[j, i] = 1
    share = target / target.sum(1, keepdim=True)
    losses, alone = method(batch), build("gloria", false_negatives="identity").eval()(batch)
    for name, scores in logits.items():
        expected = sum((-share * s.log_softmax(1)).sum(1).mean() for s in (scores, scores.t())) / 2
        torch.testing.assert_close(losses[name], expected, rtol=1e-4, atol=1e-5)
        assert abs(losses[name] - alone[name]) > 1e-5


def test_a_sentence_is_drawn_anew_in_training_alone(build, make_batch, losses_of_steps):
    drawn = losses_of_steps(build("gloria", local_weight=0.0), make_batch(5), "global")
    assert len(drawn[False]) == 1 < len(drawn[True])


def test_the_length_of_patches_does_not_decide_who_is_attended_to(build, make_batch):
    """Long vectors make the inner softmax of products one-hot, which sends no gradient; that of cosines stays."""
    changed = {}
    for sharpness in (10.0, None):
        method, batch = build("gloria", attention_sharpness=sharpness).eval(), make_batch(4)
        before = method(batch)["local"]
        with torch.no_grad():
            method.patch_head.weight *= 30
            method.patch_head.bias *= 30
        changed[sharpness] = abs(method(batch)["local"] - before).item()
    assert changed[10.0] < 1e-4
    assert changed[None] > 1e-3


def test_an_image_without_report_is_no_negative(reports, first):
    method, batch = reports
    batch.report_mask[3] = False
    smaller = first(batch, 3)
    for name, loss in method(batch).items():
        torch.testing.assert_close(loss, method(smaller)[name], rtol=1e-4, atol=1e-5)


def test_zero_shot_is_the_mean_of_both_similarities_in_a_softmax_over_the_pair(build, make_batch):
    method, images = build("gloria").eval(), make_batch(3).images
    scores = method.score(images, ["edema"])
    features, name = method.encode_images(images), method.book.name_of("edema")
    expected = []
    for pair in method.options.prompts:
        sides = []
        for template in pair:
            ids, mask = method.tokenizer([template.format(name)], 64)
            words = words_of(method, ids[0], mask[0])
            soft_max = torch.stack([slow_local(p, words) for p in features.patches]) - math.log(len(words))
            text = method.encode_texts([template.format(name)]).global_[0]
            sides.append((features.global_ @ text + soft_max / 5) / 2)
        expected.append((10 * torch.stack(sides, 1)).softmax(1)[:, 0])
    torch.testing.assert_close(scores[:, 0], torch.stack(expected).mean(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sharpness", [10.0, None])
@pytest.mark.parametrize("phrase", ["left pleural effusion", "pneumothorax"])
def test_heat_maps_are_the_mean_cosine_of_the_words(build, make_batch, sharpness, phrase):
    method, images = build("gloria", attention_sharpness=sharpness).eval(), make_batch(2).images
    got = method.heat_map(images, phrase)
    ids, mask = method.tokenizer([phrase], 64)
    words, patches = words_of(method, ids[0], mask[0]), method.patch_head(method.image_encoder(images).patches)
    cosine = F.cosine_similarity(patches[:, :, None], words, dim=3)
    torch.testing.assert_close(got, cosine.mean(2).unflatten(1, (4, 4)))
    assert (got.flatten(1).std(1) > 1e-4).all()  # of one word too, whose attention would be the same everywhere


def test_its_terms_can_be_left_out(build, make_batch):
    assert set(build("gloria", local_weight=0.0)(make_batch())) == {"global"}
    assert set(build("gloria", global_weight=0.0)(make_batch())) == {"local"}
