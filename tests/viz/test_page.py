from html.parser import HTMLParser

import numpy as np
import pytest

from medvlp.metrics import Estimate
from medvlp.viz import GalleryImage, Page, Quote

NAN = float("nan")


class Reader(HTMLParser):
    """Tags, attributes, words, and whether every tag was closed."""

    VOID = frozenset({"meta", "img", "line", "rect", "circle", "polyline", "polygon", "br"})

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.words += data


@pytest.fixture
def page():
    page = Page("A <title>", "with `code`", notice="Trained on generated data. Not for clinical use.")
    page.section("First & foremost")
    page.text("Some <b>words</b> and `a < b`.")
    page.bullets(["one", "two"])
    page.command("medvlp label runs/devide > x")
    page.facts({"images": 12000, "AUROC": Estimate(0.9, 0.85, 0.95, 40)})
    page.section("Second")
    page.table(
        ["finding", "n", "AUROC"], [["edema", 3, Estimate(0.9, 0.85, 0.95, 40)], ["hernia", None, NAN]], "T", [0]
    )
    page.gallery([GalleryImage(np.zeros((30, 20), np.uint8), 'a "black" square', "caption", "Dice 0.9")], "all")
    page.image_with_quotes(
        GalleryImage(np.zeros((9, 9, 3), np.uint8), "query"), [Quote("No <i>effusion</i>.", "1st", ["no finding"])]
    )
    page.note("mind")
    return page


def test_is_well_formed_and_escapes_every_word(page):
    reader = Reader(page.html())
    assert reader.open == []
    for words in ("A <title>", "Some <b>words</b> and a < b.", "No <i>effusion</i>.", "medvlp label runs/devide > x"):
        assert words in reader.words
    assert "b" not in reader.tags
    assert "i" not in reader.tags


def test_needs_nothing_from_outside(page):
    html = page.html()
    reader = Reader(html)
    assert not {"script", "link", "iframe"} & set(reader.tags)
    addresses = [v for k, v in reader.attributes if k in ("src", "href", "srcset")]
    assert addresses
    assert all(a.startswith(("data:image/", "#")) for a in addresses)
    assert "@import" not in html
    assert "url(" not in html


def test_the_notice_stands_on_generated_pages_only(page):
    assert "Trained on generated data. Not for clinical use." in Reader(page.html()).words
    page.notice = None
    assert "generated" not in Reader(page.html()).words
    assert 'class="banner"' not in page.html()


def test_contents_lead_to_the_sections(page):
    attributes = Reader(page.html()).attributes
    assert [v for k, v in attributes if k == "href" and v != "#content"] == ["#s1", "#s2"]
    assert {"s1", "s2", "content"} <= {v for k, v in attributes if k == "id"}


def test_every_picture_says_what_it_shows(page):
    html = page.html()
    reader = Reader(html)
    assert [v for k, v in reader.attributes if k == "alt"] == ['a "black" square', "query"]
    assert html.count("<img") == 2


def test_cells(page):
    words = Reader(page.html()).words
    assert "0.90 [0.85, 0.95]" in words
    assert "12,000" in words
    assert words.count("–") == 2  # None and NaN


def test_misuse_is_told():
    with pytest.raises(ValueError, match=r"page\.section"):
        Page("x").text("lost")
    page = Page("x")
    page.section("s")
    with pytest.raises(ValueError, match="2 columns, but row 1 has 1"):
        page.table(["a", "b"], [["x", 1], ["y"]])


def test_writes_a_file_in_a_new_folder(page, tmp_path):
    path = page.write(tmp_path / "new" / "index.html")
    assert path.read_text(encoding="utf-8") == page.html()


def test_an_unknown_interval_is_printed_as_such() -> None:
    page = Page("p")
    page.section("s")
    unknown = Estimate.from_resamples(1.0, np.ones(9), 40, "1 patient with a positive")
    page.table(["finding", "AUROC"], [["edema", unknown]])
    assert '1.00 <span class="interval">interval unknown (1 patient with a positive)</span>' in page.html()
