import xml.etree.ElementTree as ET

import numpy as np
import pytest

from medvlp.metrics import Estimate
from medvlp.viz import RocCurve, interval_figure, roc_figure, training_figure, training_panels
from medvlp.viz.panel import SERIES, Panel, nice_ticks, shorten

NAN = float("nan")
SVG = "{http://www.w3.org/2000/svg}"


def parts(svg, tag):
    return list(ET.fromstring(svg).iter(SVG + tag))


def test_panel_maps_data_to_the_plotting_area():
    panel = Panel(10, 20, 100, 50, x=(0, 2), y=(0, 1))
    assert panel.points([0, 1, 2, NAN], [0, 0.5, 1, 0]) == "10.0,70.0 60.0,45.0 110.0,20.0"


def test_interval_figure_draws_every_defined_estimate_where_it_belongs():
    rows = {
        "edema & co": {"ours": Estimate(0.9, 0.8, 1.0, 9), "theirs": Estimate(0.5, 0.4, 0.6, 9)},
        "hernia": {"ours": Estimate(NAN, NAN, NAN, 9), "theirs": Estimate(0.7, NAN, NAN, 9)},
    }
    svg = interval_figure(rows)
    dots = parts(svg, "circle")
    assert [d.get("fill") for d in dots] == [SERIES[0], SERIES[1], SERIES[1]]
    across = [float(d.get("cx")) for d in dots]
    assert across[1] < across[2] < across[0]
    titles = [t.text for t in parts(svg, "title")]
    assert titles[0] == "edema & co, ours: 0.90 [0.80, 1.00]"


def test_colors_stay_with_the_model():
    rows = {"a": {"third": Estimate(0.9, 0.8, 1.0, 9)}}
    dots = parts(interval_figure(rows, models=["first", "second", "third"]), "circle")
    assert dots[0].get("fill") == SERIES[2]
    curve = RocCurve([0, 1], [0, 1], [0, 1], [0, 1], Estimate(0.5, 0.4, 0.6, 9))
    lines = parts(roc_figure({"a": {"third": curve}}, models=["first", "second", "third"]), "polyline")
    assert SERIES[2] in [line.get("stroke") for line in lines]


def test_roc_figure_has_a_panel_for_each_finding_and_a_band_for_the_first_model():
    rates = np.linspace(0, 1, 11)
    curve = RocCurve(rates, np.sqrt(rates), rates, np.ones(11), Estimate(0.67, 0.6, 0.7, 9))
    svg = roc_figure({f"finding {i}": {"ours": curve, "theirs": curve} for i in range(6)})
    assert len(parts(svg, "title")) == 6
    assert len(parts(svg, "polygon")) == 6
    assert len(parts(svg, "polyline")) == 6 * (1 + 2)
    assert [t.text for t in parts(svg, "text")].count("0.67") == 12


def test_training_figure_has_a_line_for_each_name_and_skips_nan():
    svg = training_figure({"loss": ([0, 10, 20], [3.0, NAN, 1.0]), "alignment": ([0, 20], [1.0, 0.5])})
    assert [len(line.get("points").split()) for line in parts(svg, "polyline")] == [2, 2]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.31, 0.94), (0, 3120), (2, 2), (-3.2, 0.001)])
def test_ticks_are_few_and_hold_the_range(low, high):
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert len(ticks) <= 8
    assert np.allclose(np.diff(ticks, 2), 0)


def test_a_difference_chart_holds_zero_though_no_interval_does():
    svg = interval_figure({"a": {"above b": Estimate(0.32, 0.31, 0.33, 9)}}, chance=0.0)
    dashed = [line for line in parts(svg, "polyline") if line.get("stroke-dasharray")]
    panel = next(r for r in parts(svg, "rect") if r.get("fill") == "none")
    across = float(dashed[0].get("points").split(",")[0])
    assert float(panel.get("x")) <= across < float(parts(svg, "circle")[0].get("cx"))


def test_curve_panels_draw_each_seed_their_mean_and_the_baseline():
    lines = {
        "clip": [([10, 20], [0.5, 0.7]), ([10, 20], [0.6, 0.9])],
        "unimodal": [([10, 20], [0.7, 0.8])],
        "failed": [([], [])],
    }
    svg = training_panels(lines, reference="unimodal")
    assert [t.text for t in parts(svg, "title")] == ["clip: AUROC 0.800 at step 20", "unimodal: AUROC 0.800 at step 20"]
    drawn = parts(svg, "polyline")
    assert [bool(line.get("stroke-dasharray")) for line in drawn] == [True, False, False, False, False, False]
    assert drawn[3].get("stroke-width") == "2.4"  # the mean of the two before it


def test_curves_of_runs_that_ended_at_other_steps_are_averaged_where_both_have_them():
    title = parts(training_panels({"a": [([10, 20], [0.0, 1.0]), ([5, 15], [1.0, 0.0])]}), "title")[0]
    assert title.text == "a: AUROC 0.250 at step 15"


def test_panels_of_losses_have_scales_of_their_own():
    lines = {"small": [([0, 10], [1.0, 0.0])], "large": [([0, 10], [500.0, 100.0])]}
    heights = {}
    for one in (True, False):
        small = parts(training_panels(lines, shared_y=one), "polyline")[0].get("points").split()
        heights[one] = abs(float(small[0].split(",")[1]) - float(small[1].split(",")[1]))
    assert heights[True] < 1
    assert heights[False] > 50


def test_a_name_that_does_not_fit_ends_with_an_ellipsis_and_is_whole_in_the_title():
    assert shorten("devide (names alone)", 198) == "devide (names alone)"
    long = "a name of a line of the table that is longer than its margin"
    svg = interval_figure({long: {"AUROC": Estimate(0.9, 0.8, 1.0, 9)}})
    (shown,) = [t.text for t in parts(svg, "text") if t.text.startswith("a name")]
    assert shown.endswith("…")
    assert len(shown) <= 27
    assert parts(svg, "title")[0].text.startswith(long)
    panels = training_panels({long: [([1, 2], [0.5, 0.6])], "b": [([1, 2], [0.5, 0.6])]})
    assert long not in [t.text for t in parts(panels, "text")]
    assert parts(panels, "title")[0].text.startswith(long)


def test_zero_has_no_sign_on_an_axis():
    svg = interval_figure({"a": {"b": Estimate(-0.12, -0.3, 0.1, 9)}}, chance=0.0)
    words = [t.text for t in parts(svg, "text")]
    assert "0.0" in words
    assert "-0.0" not in words
