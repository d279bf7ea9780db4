"""What is shown: overlays on radiographs, charts with intervals, and the page of results."""

from medvlp.viz.curve_panels import curve_panels
from medvlp.viz.intervals import interval_figure
from medvlp.viz.overlay import draw_boxes, draw_heat, draw_masks, grey
from medvlp.viz.page import Page, Picture, Quote
from medvlp.viz.picture import picture_uri, write_png
from medvlp.viz.roc import Curve, roc_figure
from medvlp.viz.training_curve import training_figure

__all__ = [
    "Curve",
    "Page",
    "Picture",
    "Quote",
    "curve_panels",
    "draw_boxes",
    "draw_heat",
    "draw_masks",
    "grey",
    "interval_figure",
    "picture_uri",
    "roc_figure",
    "training_figure",
    "write_png",
]
