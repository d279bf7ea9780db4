"""Where sentences end."""

import pytest

from medvlp.reports import parse_report


def _sentences(text):
    report = parse_report(text)
    return [report.words(s) for s in report.sentences]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("A 2.5 cm nodule. No effusion.", ["A 2.5 cm nodule.", "No effusion."]),
        ("Discussed with Dr. ___ at 10:30 a.m. today.", ["Discussed with Dr. ___ at 10:30 a.m. today."]),
        ("Atelectasis vs. pneumonia.", ["Atelectasis vs. pneumonia."]),
        ("Compared to ___. The heart is large.", ["Compared to ___.", "The heart is large."]),
        ("Compared to XXXX. XXXX opacity.", ["Compared to XXXX.", "XXXX opacity."]),
        ("1. Small effusion. 2. No edema.", ["Small effusion.", "No edema."]),
        ("1. Small effusion 2. No edema", ["Small effusion", "No edema"]),
        ("Nodule measures 5. The rest is normal.", ["Nodule measures 5.", "The rest is normal."]),
        ("1) Small effusion.\n2) No edema.", ["Small effusion.", "No edema."]),
        ("- Small effusion\n- No edema", ["Small effusion", "No edema"]),
        ("Large effusion.Heart is normal.", ["Large effusion.", "Heart is normal."]),
        ("The heart is normal The lungs are clear", ["The heart is normal", "The lungs are clear"]),
        ("THE HEART IS NORMAL. NO EFFUSION.", ["THE HEART IS NORMAL.", "NO EFFUSION."]),
        ("No effusion\n\nNo pneumothorax", ["No effusion", "No pneumothorax"]),
        (
            "No effusion\nHeart is normal in size and shape today",
            ["No effusion", "Heart is normal in size and shape today"],
        ),
        (
            "There is a large right pleural\n effusion with atelectasis in the\n Left lower lobe.",
            ["There is a large right pleural\n effusion with atelectasis in the\n Left lower lobe."],
        ),
        ("Nodule, 8 mm.  Stable.", ["Nodule, 8 mm.", "Stable."]),
        ("Is there an effusion? No.", ["Is there an effusion?", "No."]),
        ("Left effusion? right is clear.", ["Left effusion? right is clear."]),
        ("Seen at T7. Correlate.", ["Seen at T7.", "Correlate."]),
        ("Stable.. No change.", ["Stable..", "No change."]),
        ("...", []),
        ("___", []),
    ],
)
def test_sentences(text, sentences):
    assert _sentences(text) == sentences


def test_each_sentence_knows_its_section():
    report = parse_report("HISTORY: Cough. Fever.\nFINDINGS: Normal.")
    assert [s.section for s in report.sentences] == ["history", "history", "findings"]


def test_overlong_sentences_are_cut_at_a_blank():
    text = "word " * 2000
    report = parse_report(text)
    assert "".join(_sentences(text)).replace(" ", "") == text.replace(" ", "")
    assert all(report.words(s).startswith("word") for s in report.sentences)
