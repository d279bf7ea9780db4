"""Figures and pages: overlays on radiographs, SVG charts with intervals, and the HTML page of results.

Imports `medvlp.metrics` alone; arrays and estimates in, RGB arrays, SVG and HTML out.
Begin with `Page` in `page.py`, which all figures end in.
"""

from medvlp.viz.curves import RocCurve, roc_figure, training_figure, training_panels
from medvlp.viz.images import draw_boxes, draw_heat, draw_masks, gray_to_rgb, image_uri, write_png
from medvlp.viz.intervals import interval_figure
from medvlp.viz.page import Cell, GalleryImage, Page, Quote

__all__ = [
    "Cell",
    "GalleryImage",
    "Page",
    "Quote",
    "RocCurve",
    "draw_boxes",
    "draw_heat",
    "draw_masks",
    "gray_to_rgb",
    "image_uri",
    "interval_figure",
    "roc_figure",
    "training_figure",
    "training_panels",
    "write_png",
]
