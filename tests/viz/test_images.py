import base64
import io

import numpy as np
import pytest
from PIL import Image

from medvlp.viz import draw_boxes, draw_heat, draw_masks, gray_to_rgb, image_uri, write_png
from medvlp.viz.images import COLORS, TRUE_COLOR


@pytest.fixture
def picture():
    return gray_to_rgb(np.full((64, 48), 0.5, np.float32))


def test_grey_keeps_values_of_both_kinds():
    assert gray_to_rgb(np.array([[0.0, 1.0, 2.0]]))[0, :, 0].tolist() == [0, 255, 255]
    assert gray_to_rgb(np.array([[7, 200]], np.uint8))[0, :, 2].tolist() == [7, 200]


def test_heat_colors_the_hot_place_and_leaves_the_cold(picture):
    heat = np.zeros((64, 48))
    heat[10:20, 10:20] = 5
    heat[0, 0] = np.nan
    drawn = draw_heat(picture, heat)
    assert (drawn[30:] == picture[30:]).all()
    assert (drawn[0, 0] == picture[0, 0]).all()
    assert (drawn[15, 15] != picture[15, 15]).any()
    np.testing.assert_array_equal(draw_heat(picture, 3 * heat - 1), drawn)


def test_constant_heat_colors_nothing(picture):
    np.testing.assert_array_equal(draw_heat(picture, np.ones((64, 48))), picture)
    with pytest.raises(ValueError, match="original size"):
        draw_heat(picture, np.ones((8, 8)))


def test_masks_have_an_outline_of_full_color_and_a_faint_inside(picture):
    mask = np.zeros((64, 48), bool)
    mask[10:30, 10:30] = True
    drawn = draw_masks(picture, {"lungs": mask})
    assert tuple(drawn[10, 20]) == COLORS[0]
    assert tuple(drawn[20, 20]) not in (COLORS[0], tuple(picture[20, 20]))
    assert (drawn[~mask] == picture[~mask]).all()


def test_a_mask_at_the_border_is_outlined_there(picture):
    drawn = draw_masks(picture, {"all": np.ones((64, 48), bool)})
    assert tuple(drawn[0, 5]) == COLORS[0]


def test_boxes_are_outlines_inside_their_coordinates(picture):
    drawn = draw_boxes(picture, [[10, 20, 30, 40], [40, 60, 400, 600]])
    assert tuple(drawn[20, 10]) == tuple(drawn[39, 29]) == TRUE_COLOR
    assert (drawn[40, 10:30] == picture[40, 10:30]).all()
    assert (drawn[30, 20] == picture[30, 20]).all()
    assert tuple(drawn[63, 47]) == TRUE_COLOR
    assert (picture == 128).all()


def test_png_files_of_masks_are_black_and_white(tmp_path):
    mask = np.eye(5, dtype=bool)
    write_png(tmp_path / "m.png", mask)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "m.png")), mask * 255)


def test_a_picture_in_a_page_is_reduced_but_not_enlarged():
    def size(pixels):
        kind, data = image_uri(pixels, side=100).split(",")
        assert kind == "data:image/jpeg;base64"
        return Image.open(io.BytesIO(base64.b64decode(data))).size

    assert size(np.zeros((400, 200), np.uint8)) == (50, 100)
    assert size(np.zeros((40, 20, 3), np.uint8)) == (20, 40)
