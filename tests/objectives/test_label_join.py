"""Targets that labels join: the published hand value, a loop, and who counts."""

import torch

from medvlp.objectives import label_targets

IMAGES = torch.tensor([[1, -1, 1], [1, 0, -1], [2, 1, -1], [-1, 0, 0]], dtype=torch.int8)
TEXTS = torch.tensor([[1, -1, -1], [-1, 1, -1], [-1, -1, -1], [0, -1, 1], [1, 1, -1]], dtype=torch.int8)


def test_the_hand_value():
    states = torch.tensor([[1, 0, 1], [1, 0, 0], [0, 1, 0]], dtype=torch.int8)
    named = torch.tensor([[1, 0, 0], [1, 0, 0], [0, 1, 0]], dtype=torch.int8)
    target, valid = label_targets(states, named)
    assert target.int().tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert valid.all()


def test_distinct_labels_join_nothing_but_own():
    target, valid = label_targets(torch.eye(4).to(torch.int8), torch.eye(4).to(torch.int8))
    assert torch.equal(target, torch.eye(4).bool())
    assert valid.all()


def slow(unmentioned, has_report):
    target, valid = torch.zeros(4, 5).bool(), torch.zeros(4, 5).bool()
    for i in range(4):
        for j in range(5):
            named = [e for e in range(3) if TEXTS[j, e] == 1]
            shared = any(IMAGES[i, e] == 1 for e in named)
            absent = [0, -1] if unmentioned == "negative" and has_report[i] else [0]
            denied = all(IMAGES[i, e] in absent for e in named) and (bool(named) or bool(has_report[i]))
            target[i, j], valid[i, j] = shared, shared or denied
    return target, valid


def test_equals_a_loop():
    for unmentioned in ("ignore", "negative"):
        for has_report in (torch.ones(4).bool(), torch.tensor([1, 0, 1, 0]).bool()):
            got = label_targets(IMAGES, TEXTS, unmentioned, has_report)
            for ours, theirs in zip(got, slow(unmentioned, has_report), strict=True):
                assert torch.equal(ours, theirs)
        everyone = label_targets(IMAGES, TEXTS, unmentioned)
        assert torch.equal(everyone[1], slow(unmentioned, torch.ones(4).bool())[1])


def test_doubt_and_silence_are_no_negatives():
    target, valid = label_targets(IMAGES, TEXTS, "ignore")
    assert not valid[2, 0]  # the report is uncertain of it
    assert not valid[3, 0]  # the report is silent on it
    assert not target[2, 0]
    assert label_targets(IMAGES, TEXTS, "negative")[1][3, 0]
