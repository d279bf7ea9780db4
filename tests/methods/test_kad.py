"""KAD: its four terms against loops, one network for both memories, and who teaches the text tower."""

import math

import pytest
import torch
from torch.nn import functional as F

from medvlp.knowledge import KnowledgeBook
from medvlp.models import KnowledgePairs
from medvlp.objectives import info_nce


def soft_cross_entropy(logits, target):
    rows = [
        -(row.log_softmax(0) * wanted / wanted.sum()).sum() for row, wanted in zip(logits, target.float(), strict=True)
    ]
    return torch.stack(rows).mean()


def both_ways(logits, target):
    return (soft_cross_entropy(logits, target) + soft_cross_entropy(logits.t(), target.t())) / 2


def by_loops(method, batch):
    """The four losses from the equations at the top of the file."""

    def read(ids, mask):
        return method.text_head(method.text_encoder(ids[None], mask[None]).global_)[0]

    drawn = method.knowledge.sample(method.options.pairs, shuffle=False)
    questions = torch.stack([read(*text) for text in zip(drawn.questions, drawn.question_mask, strict=True)])
    answers = torch.stack([read(*text) for text in zip(drawn.answers, drawn.answer_mask, strict=True)])
    names = method.text_head(method.bank([method.book.name_of(f) for f in method.findings]).global_)
    queries = method.to_query(names - names.mean(0))
    reports = torch.stack([read(*text) for text in zip(batch.report_tokens, batch.report_mask, strict=True)])
    images, by_image, by_text = [], [], []
    for b in range(len(batch)):
        features = method.image_encoder(batch.images[b : b + 1])
        images.append(method.image_head(features.global_)[0])
        for e in range(len(queries)):
            label = (batch.findings[b, e] == 1).float()
            seen = method.presence(method.decode_queries(features, queries[e][None, None])[0])[0, 0, 0]
            told = method.presence(method.decoder(queries[e][None], method.report_memory(reports[b])[None, None])[0])
            by_image.append(F.binary_cross_entropy_with_logits(seen, label))
            by_text.append(F.binary_cross_entropy_with_logits(told[0, 0, 0], label))
    same_report = batch.text_group[:, None] == batch.text_group
    return {
        "knowledge": both_ways(method.knowledge_scale.scale * questions @ answers.t(), drawn.same),
        "report": both_ways(method.report_scale.scale * torch.stack(images) @ reports.t(), same_report),
        "image": torch.stack(by_image).mean(),
        "text": torch.stack(by_text).mean(),
    }


def test_its_losses_equal_their_loops(build, make_batch):
    method, batch = build("kad", pairs=24).eval(), make_batch(6)
    with torch.no_grad():
        losses, expected = method(batch), by_loops(method, batch)
        assert losses.keys() == expected.keys()
        for term, value in expected.items():
            torch.testing.assert_close(losses[term], value, rtol=1e-4, atol=1e-5)


def test_a_weight_of_zero_leaves_a_term_out(build, make_batch):
    assert set(build("kad", knowledge_weight=0.0, text_weight=0.0)(make_batch())) == {"report", "image"}


def test_both_memories_are_read_by_the_same_network(build, make_batch):
    method, batch = build("kad"), make_batch()
    shared = [method.to_query.weight, method.presence.weight, method.decoder.layers[0].mlp[0].weight]
    losses = method(batch)
    for term in ("image", "text"):
        gradients = torch.autograd.grad(losses[term], shared, retain_graph=True)
        assert all(gradient.any() for gradient in gradients)
    without = build("kad", text_weight=0.0)
    assert sum(p.numel() for p in method.parameters()) == sum(p.numel() for p in without.parameters())


def test_a_report_is_one_token_that_is_all_there_is_to_look_at(build, make_batch):
    method, batch = build("kad").eval(), make_batch(3)
    report = method.text_head(method.text_encoder(batch.report_tokens, batch.report_mask).global_)
    queries = method.encode_queries(method.trained_texts).vectors.flatten(0, 1)
    _, attention = method.decoder(queries, method.report_memory(report)[:, None], need_attention=True)
    torch.testing.assert_close(attention, torch.ones(3, len(queries), 1))


def test_an_image_without_report_teaches_the_text_branch_nothing(build, make_batch):
    method, batch = build("kad").eval(), make_batch()
    with torch.no_grad():
        kept = method(batch)["text"]
        more = make_batch(7)  # one more image, which has labels and no report
        more.images[:6], more.report_mask[6] = batch.images, False
        torch.testing.assert_close(method(more)["text"], kept)
        more.report_mask[6] = make_batch(7).report_mask[6]
        assert not torch.isclose(method(more)["text"], kept)


@pytest.mark.parametrize("source", ["everything", "knowledge"])
def test_who_teaches_the_text_tower(build, make_batch, source):
    method, batch = build("kad", text_learns_from=source), make_batch()
    losses = method(batch)
    tower = [method.text_head.layers[0].weight, method.text_encoder.network.embeddings.word_embeddings.weight]
    for term in ("knowledge", "report", "image", "text"):
        reaches = False
        if losses[term].requires_grad:
            gradients = torch.autograd.grad(losses[term], tower, retain_graph=True, allow_unused=True)
            reaches = any(gradient is not None and bool(gradient.any()) for gradient in gradients)
        assert reaches == (term == "knowledge" or source == "everything")


def test_the_knowledge_contrast_brings_names_and_definitions_together(build, make_batch, tmp_path):
    method, batch = build("kad", pairs=48), make_batch(1)
    method.book.to_yaml(tmp_path / "book.yaml", method.findings)
    method.knowledge = KnowledgePairs(KnowledgeBook.load(tmp_path / "book.yaml"), method.tokenizer, noise=0.0)
    texts = [(method.book.name_of(f), method.book.text(f, "definition")) for f in method.findings]

    def margin():
        with torch.no_grad():
            name, definition = (method.encode_query_texts(side).global_ for side in zip(*texts, strict=True))
            cosine = name @ definition.t()
            return (cosine.diagonal().mean() - cosine.mean()).item()

    before = margin()
    optimizer = torch.optim.AdamW(method.parameters(), lr=3e-3)
    for _ in range(25):
        optimizer.zero_grad()
        method._knowledge_contrast(method.encode(batch).pairs).backward()
        optimizer.step()
    assert margin() > before + 0.2


@pytest.mark.parametrize("k", [1, 3])
def test_the_floor_with_k_texts_of_one_concept_is_log_k(k):
    """Targets are distributions; of columns of length 1, as in the paper's code, it would be the root of k times it."""
    same = torch.eye(4).repeat_interleave(k, 0).repeat_interleave(k, 1).bool()
    assert info_nce(1e4 * same.float(), same).item() == pytest.approx(math.log(k), abs=1e-3)


def test_any_number_of_findings_can_be_scored(build, make_batch):
    method, images = build("kad").eval(), make_batch(2).images
    with torch.no_grad():
        assert method.score(images, method.book.findings).shape == (2, len(method.book.findings))


def test_images_and_texts_meet_as_images_and_reports_do(build, make_batch):
    method, batch = build("kad").eval(), make_batch(2)
    with torch.no_grad():
        report = method.text_head(method.text_encoder(batch.report_tokens, batch.report_mask).global_)
        text = method.encode_texts([method.tokenizer.decode(batch.report_tokens[0].tolist())])
        torch.testing.assert_close(text.global_[0], report[0], rtol=1e-4, atol=1e-5)
        assert method.encode_images(batch.images).patches.shape[-1] == text.tokens.shape[-1] == 128
