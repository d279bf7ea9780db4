"""Concepts that are drawn, and where they are: against loops, and the published pitfall."""

import torch

from medvlp.objectives import concept_targets, sample_concepts

# First token, token after the last, concept, state (0 absent, 1 present, 2 uncertain).
CONCEPTS = torch.tensor(
    [
        [[1, 3, 5, 1], [4, 5, 7, 0], [6, 7, 5, 1], [8, 9, 2, 1]],
        [[2, 3, 5, 2], [4, 6, 7, 1], [0, 0, -1, -1], [0, 0, -1, -1]],
        [[0, 0, -1, -1]] * 4,
        [[1, 2, 5, 0], [3, 4, 5, 2], [5, 6, 2, 1], [0, 0, -1, -1]],
    ]
)
REPORTED = torch.tensor([True, True, False, True])


def test_affirmed_concepts_are_drawn_and_nothing_fills_up():
    nothing = [0, 0, -1, -1]
    first = sample_concepts(CONCEPTS, 2, shuffle=False)
    assert first[0].tolist() == [[1, 3, 5, 1], [6, 7, 5, 1]]
    assert first[1].tolist() == [[4, 6, 7, 1], nothing]
    assert first[2].tolist() == [nothing, nothing]
    more = sample_concepts(CONCEPTS, 6)
    assert more.shape == (4, 6, 4)
    assert sorted(more[0].tolist())[-3:] == [[1, 3, 5, 1], [6, 7, 5, 1], [8, 9, 2, 1]]
    assert (more[..., 2] >= 0).sum(1).tolist() == [3, 1, 0, 1]


def test_each_affirmed_concept_is_drawn_in_its_turn():
    torch.manual_seed(0)
    drawn = {tuple(sample_concepts(CONCEPTS, 1)[0, 0].tolist()) for _ in range(40)}
    assert drawn == {(1, 3, 5, 1), (6, 7, 5, 1), (8, 9, 2, 1)}


def test_targets_equal_a_loop():
    asked = torch.tensor([5, 7, 2, -1, 9])
    target, valid = concept_targets(CONCEPTS, asked, REPORTED)
    for b in range(4):
        for c, concept in enumerate(asked.tolist()):
            said = [state for *_, named, state in CONCEPTS[b].tolist() if named == concept and concept >= 0]
            assert target[b, c] == (1 in said)
            assert valid[b, c] == (REPORTED[b] and concept >= 0 and (1 in said or 2 not in said))


def test_the_concept_of_one_report_is_a_positive_of_every_image_that_has_it():
    target, valid = concept_targets(CONCEPTS, CONCEPTS[0, 3, 2][None], REPORTED)
    assert target[:, 0].tolist() == [True, False, False, True]
    assert valid[:, 0].tolist() == [True, True, False, True]


def test_it_runs_without_asking_the_device():
    concepts, has_report = CONCEPTS.to("meta"), REPORTED.to("meta")
    drawn = sample_concepts(concepts, 3)
    assert concept_targets(concepts, drawn[..., 2].flatten(), has_report)[0].shape == (4, 12)
