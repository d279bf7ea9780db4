import xml.etree.ElementTree as ET

import numpy as np
import pytest

from medvlp.metrics import Estimate
from medvlp.viz import Curve, interval_figure, roc_figure, training_figure
from medvlp.viz.panel import SERIES, Panel, nice_ticks

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


def test_colours_stay_with_the_model():
    rows = {"a": {"third": Estimate(0.9, 0.8, 1.0, 9)}}
    dots = parts(interval_figure(rows, models=["first", "second", "third"]), "circle")
    assert dots[0].get("fill") == SERIES[2]
    curve = Curve([0, 1], [0, 1], [0, 1], [0, 1], Estimate(0.5, 0.4, 0.6, 9))
    lines = parts(roc_figure({"a": {"third": curve}}, models=["first", "second", "third"]), "polyline")
    assert SERIES[2] in [line.get("stroke") for line in lines]


def test_roc_figure_has_a_panel_for_each_finding_and_a_band_for_the_first_model():
    rates = np.linspace(0, 1, 11)
    curve = Curve(rates, np.sqrt(rates), rates, np.ones(11), Estimate(0.67, 0.6, 0.7, 9))
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
