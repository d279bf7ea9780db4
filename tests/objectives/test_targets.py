"""Target matrices by hand.
The hierarchy as a matrix.
Targets that labels join: the published hand value, a loop, and who counts.
Concepts that are drawn, and where they are: against loops, and the published pitfall.
"""

import pytest
import torch

from medvlp.knowledge import get_finding
from medvlp.objectives import (
    ancestor_matrix,
    concept_targets,
    jaccard,
    label_targets,
    sample_concepts,
    sentence_targets,
    target_ancestors,
    target_matrix,
)

GROUP = torch.tensor([7, 3, 7, 5])
STATES = torch.tensor([[1, 0, -1], [-1, -1, 0], [0, 1, -1], [1, -1, 2]], dtype=torch.int8)


def test_identity():
    assert torch.equal(target_matrix("identity", text_group=GROUP), torch.eye(4))


def test_same_text_joins_equal_reports():
    expected = [[1, 0, 1, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]
    assert target_matrix("same_text", text_group=GROUP).tolist() == expected


def test_same_labels_joins_equal_sets_of_present_findings_and_equal_reports():
    expected = [[1, 0, 1, 1], [0, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]]  # 0 and 3 share {first}; 0 and 2 the text
    assert target_matrix("same_labels", text_group=GROUP, states=STATES).tolist() == expected


def test_two_normal_images_are_right_for_each_other():
    states = torch.tensor([[0, 0], [-1, 0]])
    assert target_matrix("same_labels", text_group=torch.tensor([0, 1]), states=states).tolist() == [[1, 1], [1, 1]]


def test_ontology_is_the_share_of_common_ancestors():
    # Findings pneumonia, consolidation, fracture; concepts: the three and lung opacity.
    ancestors = torch.tensor([[1, 1, 0, 1], [0, 1, 0, 1], [0, 0, 1, 0]]).bool()
    states = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    target = target_matrix("ontology", text_group=torch.arange(3), states=states, ancestors=ancestors)
    torch.testing.assert_close(target, torch.tensor([[1, 2 / 3, 0], [2 / 3, 1, 0], [0, 0, 1]]))


def test_the_hierarchy_is_read_for_ontology_alone():
    findings = ("pneumonia", "edema")
    assert torch.equal(target_ancestors("ontology", findings), ancestor_matrix(findings))
    assert {target_ancestors(kind, findings) for kind in ("identity", "same_text", "same_labels")} == {None}


def test_swapping_images_with_equal_labels_leaves_the_matrix():
    swap = torch.tensor([3, 1, 2, 0])
    target = target_matrix("same_labels", text_group=torch.arange(4), states=STATES)
    assert torch.equal(target[swap][:, swap], target)


def test_jaccard_of_empty_sets_is_one():
    assert jaccard(torch.zeros(1, 3), torch.tensor([[0.0, 0, 0], [1, 0, 0]])).tolist() == [[1, 0]]


@pytest.mark.parametrize("kind", ["same_labels", "ontology"])
def test_labels_join_as_sets_do(kind):
    torch.manual_seed(0)
    states = torch.randint(-1, 3, (8, 3))
    ancestors = torch.tensor([[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 0]]).bool()
    group = torch.tensor([0, 1, 2, 3, 0, 5, 6, 7])
    sets = [{f for f in range(3) if row[f] == 1} for row in states.tolist()]
    if kind == "ontology":
        sets = [{a for f in found for a in range(4) if ancestors[f, a]} for found in sets]
    target = target_matrix(kind, text_group=group, states=states, ancestors=ancestors)
    for i, mine in enumerate(sets):
        for j, theirs in enumerate(sets):
            share = len(mine & theirs) / len(mine | theirs) if mine | theirs else 1.0
            expected = 1.0 if group[i] == group[j] else share if kind == "ontology" else float(share == 1)
            assert target[i, j].item() == pytest.approx(expected)


def test_targets_of_a_rank_are_its_rows(on_two_ranks):
    for kind in ("identity", "same_text", "same_labels"):
        parts = on_two_ranks(
            lambda rank, ranks, kind=kind: target_matrix(
                kind, text_group=GROUP.chunk(2)[rank], states=STATES.chunk(2)[rank], ranks=ranks
            )
        )
        assert torch.equal(torch.cat(parts), target_matrix(kind, text_group=GROUP, states=STATES))


def test_what_is_missing_is_named():
    with pytest.raises(ValueError, match="ancestors"):
        target_matrix("ontology", text_group=GROUP, states=STATES)
    with pytest.raises(ValueError, match="states"):
        target_matrix("same_labels", text_group=GROUP)
    with pytest.raises(ValueError, match="same_txt"):
        target_matrix("same_txt", text_group=GROUP)


def test_a_finding_is_itself_and_what_it_is_a_kind_of():
    assert get_finding("consolidation").parents == ("lung_opacity",)
    # Concepts in order of appearance: consolidation, lung opacity, pneumothorax.
    assert ancestor_matrix(["consolidation", "pneumothorax", "lung_opacity"]).long().tolist() == [
        [1, 1, 0],
        [0, 0, 1],
        [0, 1, 0],
    ]


def test_an_unknown_finding_is_named():
    with pytest.raises(KeyError, match="pneumothorax"):
        ancestor_matrix(["pneumotorax"])


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


IMAGE_STATES = torch.tensor([[1, 0], [0, 0], [1, -1], [-1, -1]])
# Sentences: 0 "A" of image 0, 1 "no B" of image 1, 2 "A and no B" of image 0, 3 "rotated" of image 3, 4 "maybe A" of 2.
SENTENCE_STATES = torch.tensor([[1, -1], [-1, 0], [1, 0], [-1, -1], [2, -1]])
IMAGE_INDEX = torch.tensor([0, 1, 0, 3, 2])
SENTENCE_GROUP = torch.tensor([10, 11, 12, 13, 14])


def test_identity_of_sentences():
    target, valid = sentence_targets(SENTENCE_STATES, IMAGE_STATES, IMAGE_INDEX, SENTENCE_GROUP, "identity")
    assert target.long().tolist() == [[1, 0, 1, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 1, 0]]
    assert valid.all()


def test_equal_sentences_are_true_of_each_others_images():
    group = torch.tensor([10, 11, 12, 13, 11])
    target, _ = sentence_targets(SENTENCE_STATES, IMAGE_STATES, IMAGE_INDEX, group, "same_text")
    assert target[:, 1].tolist() == [False, True, True, False]
    assert target[:, 4].tolist() == [False, True, True, False]


def test_a_sentence_is_true_where_the_report_agrees_and_open_where_nobody_knows():
    target, valid = sentence_targets(SENTENCE_STATES, IMAGE_STATES, IMAGE_INDEX, SENTENCE_GROUP, "same_labels")
    assert target.long().tolist() == [
        [1, 1, 1, 0, 0],  # has A, denies B
        [0, 1, 0, 0, 0],  # denies both
        [1, 0, 0, 0, 1],  # has A; of B nothing is known; its own "maybe A" is its own
        [0, 0, 0, 1, 0],  # silent: only its own sentence
    ]
    assert valid.long().tolist() == [
        [1, 1, 1, 0, 0],
        [1, 1, 1, 0, 0],  # "A" and "A and no B" are contradicted: negatives
        [1, 0, 0, 0, 1],
        [0, 0, 0, 1, 0],
    ]


def test_what_a_report_leaves_unmentioned_may_count_as_absent():
    has_report = torch.tensor([True, True, True, False])
    target, valid = sentence_targets(
        SENTENCE_STATES,
        IMAGE_STATES,
        IMAGE_INDEX,
        SENTENCE_GROUP,
        "same_labels",
        unmentioned="negative",
        has_report=has_report,
    )
    assert target.long().tolist() == [[1, 1, 1, 0, 0], [0, 1, 0, 0, 0], [1, 1, 1, 0, 1], [0, 0, 0, 1, 0]]
    assert valid.long().tolist() == [
        [1, 1, 1, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 0, 1],  # nothing of B is nothing there
        [0, 0, 0, 1, 0],  # no report: nobody knows
    ]


def test_sentences_of_all_ranks_are_columns(on_two_ranks):
    image_index, group = torch.tensor([0, 1, 2, 3]), torch.tensor([10, 11, 10, 13])
    for kind in ("identity", "same_text", "same_labels"):
        parts = on_two_ranks(
            lambda rank, ranks, kind=kind: sentence_targets(
                SENTENCE_STATES[:4].chunk(2)[rank],
                IMAGE_STATES.chunk(2)[rank],
                torch.arange(2),
                group.chunk(2)[rank],
                kind,
                ranks,
            )
        )
        expected = sentence_targets(SENTENCE_STATES[:4], IMAGE_STATES, image_index, group, kind)
        for of_ranks, whole in zip(zip(*parts, strict=True), expected, strict=True):
            assert torch.equal(torch.cat(of_ranks), whole)
