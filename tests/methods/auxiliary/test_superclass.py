"""SuperClass: which words count, how much, and when they are counted."""

import torch


def test_special_tokens_are_no_classes_and_frequent_words_weigh_less(build, build_auxiliary, make_batch, tokenizer):
    batch, auxiliary = make_batch(5), build_auxiliary("superclass").train()
    auxiliary.losses(batch, build("clip").encode(batch))
    counted = auxiliary.frequency
    special = (tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id)
    assert counted.texts == 5
    assert all(counted.holding[token] == 0 for token in special)
    words = [
        set(row[mask].tolist()) - set(special) for row, mask in zip(batch.report_tokens, batch.report_mask, strict=True)
    ]
    for token in set.union(*words):
        assert counted.holding[token] == sum(token in row for row in words)


def test_the_loss_is_cross_entropy_with_the_shares_of_the_words(build, build_auxiliary, make_batch, tokenizer):
    batch, auxiliary = make_batch(4), build_auxiliary("superclass")
    encoded = build("clip").eval().encode(batch)
    got = auxiliary.train().losses(batch, encoded)["words"]
    log_q = auxiliary.classes(encoded.image.global_).log_softmax(1)
    weights, expected = auxiliary.frequency(), 0.0
    for row, mask, log_p in zip(batch.report_tokens, batch.report_mask, log_q, strict=True):
        words = sorted(set(row[mask].tolist()) - {tokenizer.cls_id, tokenizer.sep_id})
        expected -= (weights[words] * log_p[words]).sum() / weights[words].sum() / 4
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_nothing_is_counted_in_evaluation_mode(build, build_auxiliary, make_batch):
    auxiliary = build_auxiliary("superclass").eval()
    batch = make_batch(3)
    auxiliary.losses(batch, build("clip").encode(batch))
    assert auxiliary.frequency.texts == 0
