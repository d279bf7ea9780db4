"""No text crashes the parser, offsets point at words, and the work grows linearly with the text."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvlp.reports import PLACES, load_lexicon, parse_report
from medvlp.reports.sentences import LONGEST

# fmt: off
_WORDS = st.sampled_from(
    (
        "no", "without", "possible", "left", "right", "bilateral", "small", "2.5 cm", "effusion",
        "effusions", "heart is", "enlarged", "normal", "and", "or", ",", ".", ";", ":", "?", "(", ")", "/",
        "\n", "\n\n", "FINDINGS:", "LUNGS:", "IMPRESSION:", "1.", "2)", "-", "versus", "cannot be excluded",
        "not seen", "which", "but", "with", "___", "XXXX", "Dr.", "İ", "ß", "𝔸", "\u0301", "lungs", "clear",
        "stable", "new", "nodule", "measures", "x", "unlikely", "mass", "may represent", "atelectasis",
        "costophrenic angle", "blunted", "WET READ:", "pneumothorax", "resolved", "of the",
    )
)
# fmt: on
_REPORTISH = st.lists(_WORDS, max_size=60).map(" ".join)
_ANY = st.text(max_size=400)


def _check(text):
    report = parse_report(text)
    assert report.text == text
    at = 0
    for section in report.sections:
        assert at <= section.start <= section.end <= len(text)
        at = section.end
    at = 0
    for sentence in report.sentences:
        assert at <= sentence.start < sentence.end <= len(text)
        at = sentence.end
        assert report.words(sentence).strip() == report.words(sentence)
        assert sentence.end - sentence.start <= LONGEST
    for mention in report.mentions:
        sentence = report.sentences[mention.sentence]
        assert sentence.start <= mention.start < mention.end <= sentence.end
        words = report.words(mention)
        assert words[0].isalnum()
        assert words[-1].isalnum() or words[-1] == "?"
        assert mention.finding in load_lexicon().findings
        assert mention.place is None or mention.place in PLACES
        if mention.cue:
            assert mention.cue in report.words(sentence).lower()
            assert load_lexicon().cue_class(mention.cue)
    return report


@settings(max_examples=300, deadline=None)
@given(_REPORTISH)
def test_report_like_text_is_read_with_offsets_at_its_words(text):
    _check(text)


@settings(max_examples=300, deadline=None)
@given(_ANY)
def test_any_text_is_read(text):
    _check(text)


@given(st.sampled_from(["effusion", "pneumothorax", "nodule"]), st.text(alphabet=" \n.İ𝔸é-", max_size=20))
@settings(deadline=None)
def test_a_mention_is_found_where_it_stands_after_odd_characters(finding, before):
    report = parse_report(f"{before} {finding} ")
    assert [report.words(m) for m in report.mentions] == [finding]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t ",
        "." * 100_000,
        "(" * 10_000 + "effusion" + ")" * 10_000,
        "[" * 10_000,
        "\n" * 100_000,
        " " * 100_000 + "x",
        "no " * 50_000,
        "_" * 100_000,
        "A" * 100_000 + ":",
        "1. " * 30_000,
        "?" * 50_000,
        "FINDINGS: " * 10_000,
        "left " * 20_000 + "effusion",
    ],
    ids=range(14),
)
def test_degenerate_texts_are_read(text):
    _check(text)


def test_a_megabyte_is_read_whole():
    sentence = "There is no pleural effusion, small nodule in the left upper lobe cannot be excluded. "
    text = sentence * (1_000_000 // len(sentence))
    report = _check(text)
    assert len(report.mentions) == 2 * len(report.sentences) == 2 * (1_000_000 // len(sentence))


@pytest.mark.parametrize(
    "piece",
    [
        "No effusion. ",
        "no effusion, left nodule and ",
        "possible effusion ",
        "\nLUNGS: clear",
        "the heart ",
        "enlarged ",
        "2 cm ",
        "\n\n1. ",
        "cannot exclude ",
        "word" * 3,
    ],
)
def test_work_is_linear_in_the_length_of_the_text(piece):
    load_lexicon()

    def calls(repeats):
        """Python calls that one parse makes; unlike time, the same on every machine."""
        text, count = piece * repeats + f" {repeats}", 0

        def count_call(frame, event, argument):
            nonlocal count
            count += 1

        sys.setprofile(count_call)
        try:
            parse_report(text)
        finally:
            sys.setprofile(None)
        return count

    small, large = calls(2_000), calls(8_000)
    assert large < 4.5 * small + 1000
