"""What query networks share: queries from texts, zero-shot, heat maps, retrieval."""

import pytest
import torch

from medvlp.methods.query_network import match_finding, require_places
from medvlp.models import grid_position


def test_queries_are_texts_less_the_mean_of_the_trained_ones(build):
    method = build("medklip").eval()
    with torch.no_grad():
        texts = [method.query_texts(f)[0] for f in method.findings]
        mean = method.bank(texts).global_.mean(0)
        other = method.bank([method.query_texts("pacemaker")[0]]).global_
        pacemaker = method.encode_queries((method.query_texts("pacemaker"),))
        torch.testing.assert_close(pacemaker.vectors[0], method.to_query(other - mean))
        assert pacemaker.known.all()
        torch.testing.assert_close(
            method.encode_queries(method.trained_texts).vectors[2],
            method.to_query(method.bank(texts).global_ - mean)[2:3],
        )


def test_an_empty_text_is_read_as_the_mean(build):
    method = build("medklip").eval()
    queries = method.encode_queries((("",), ("Fluid.",)))
    assert queries.known.tolist() == [[False], [True]]
    torch.testing.assert_close(queries.vectors[0, 0], method.to_query.bias)


@pytest.mark.parametrize("name", ["kad", "mavl", "medklip"])
def test_an_answer_does_not_depend_on_the_other_findings(build, make_batch, name):
    method, images = build(name).eval(), make_batch(3).images
    with torch.no_grad():
        one, many = method.score(images, ["edema"]), method.score(images, ["pacemaker", "edema", "hiatal_hernia"])
    torch.testing.assert_close(many[:, 1:2], one, rtol=1e-4, atol=1e-6)
    assert many.diff(dim=1).abs().min() > 0  # three descriptions, three answers
    with pytest.raises(KeyError, match="pacemaker"):
        method.score(images, ["pacemakr"])


@pytest.mark.parametrize("name", ["kad", "mavl", "medklip"])
def test_heat_maps_are_attention_to_the_finding_or_to_the_phrase(build, make_batch, name):
    method, images = build(name).eval(), make_batch(2).images
    named = method.heat_map(images, "Pleural effusion.")
    assert named.shape == (2, 4, 4)
    torch.testing.assert_close(named.sum((1, 2)), torch.ones(2))
    asked = method.encode_queries((method.query_texts("pleural_effusion"),)).vectors[0]
    memory = method.to_memory(method.image_encoder(images).patches)
    _, attention = method.decoder(asked, memory, grid_position((4, 4), memory.shape[2], memory), need_attention=True)
    torch.testing.assert_close(named.flatten(1), attention.mean(1))  # of all questions
    phrase, other = method.heat_map(images, "fluid on the left"), method.heat_map(images, "a large heart")
    assert not torch.allclose(phrase, other, rtol=1e-6, atol=1e-9)


def test_attention_moves_with_what_is_seen(build, make_batch):
    """Patches whose keys agree with the query take the attention, wherever they are."""
    method, images = build("medklip").eval(), make_batch(1).images
    features = method.image_encoder(images)
    features.patches = torch.zeros_like(features.patches)
    queries = method.encode_queries((method.query_texts("edema"),)).vectors
    with torch.no_grad():
        for layer in method.decoder.layers:
            layer.cross_attention.key.weight.mul_(3)
        _, flat = method.decode_queries(features, queries, need_attention=True)
        features.patches[0, 5] = 4 * torch.randn(features.patches.shape[-1])
        _, after = method.decode_queries(features, queries, need_attention=True)
    change = (after - flat)[0, 0].abs()
    assert change.argmax() == 5


def test_an_image_is_retrieved_by_the_texts_of_its_findings(build, make_batch):
    method, images = build("medklip").eval(), make_batch(2).images
    with torch.no_grad():
        image = method.encode_images(images).global_
        texts = method.encode_texts([method.query_texts(f)[0] for f in method.findings]).global_
        torch.testing.assert_close(image, method.score(images, method.findings) @ texts, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "term"), [("kad", "knowledge"), ("mavl", "place"), ("medklip", "place")])
def test_pairs_and_wrong_places_are_drawn_in_training_alone(build, make_batch, losses_of_steps, name, term):
    drawn = losses_of_steps(build(name), make_batch(), term, times=3)
    assert len(drawn[False]) == 1 < len(drawn[True])


def test_findings_are_named_whatever_their_case(book):
    assert match_finding(book, " Pleural effusion. ") == match_finding(book, "pleural_effusion") == "pleural_effusion"
    assert match_finding(book, "left pleural effusion") is None


def test_a_batch_without_places_says_what_makes_them(make_batch):
    batch = make_batch()
    batch.places = None
    with pytest.raises(ValueError, match="places=True"):
        require_places(batch)
