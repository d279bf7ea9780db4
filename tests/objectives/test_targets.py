"""Target matrices by hand."""

import pytest
import torch

from medvlp.objectives import ancestor_matrix, jaccard, target_ancestors, target_matrix

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
