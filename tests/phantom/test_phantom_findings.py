"""Each finding against the same chest without it: it changes the picture where, and as, it should."""

from __future__ import annotations

import numpy as np
import pytest

from medvlp.knowledge import PLACES
from medvlp.phantom.anatomy import Anatomy, sample_anatomy
from medvlp.phantom.findings import DRAWINGS, FINDINGS, Drawing, Lesion
from medvlp.phantom.geometry import Ellipsoid, Projection, View
from medvlp.phantom.organs import heart_parts, hemithorax, hull, lung_point
from medvlp.phantom.render import Picture, box_of, render
from medvlp.phantom.ribs import rib_curve
from medvlp.phantom.scene import Mask, Scene
from medvlp.phantom.xray import Exposure

SIZE = 128
EXPOSURE = Exposure()
BRIGHTER = {
    "pleural_effusion",
    "cardiomegaly",
    "consolidation",
    "edema",
    "atelectasis",
    "nodule",
    "mass",
    "pleural_thickening",
    "rib_fracture",
    "endotracheal_tube",
    "central_venous_catheter",
    "pacemaker",
}
DARKER = {"pneumothorax", "emphysema"}
FOCAL = {"consolidation", "atelectasis", "nodule", "mass", "rib_fracture", "pneumothorax", "pleural_effusion"}


def projection(view: View = "PA") -> Projection:
    return Projection(view, (SIZE, SIZE), pitch=356 / SIZE, top=-40.0)


def person(seed: int = 1) -> Anatomy:
    return sample_anatomy(np.random.default_rng(seed))


def arisen(finding: str, seed: int = 5, level: float | None = 0.6) -> list[Lesion]:
    lesions = DRAWINGS[finding].arise(np.random.default_rng(seed), person())
    return lesions if level is None else [lesion.at(level) for lesion in lesions]


def pair(lesions: list[Lesion], view: View = "PA") -> tuple[Picture, Picture]:
    """The same chest without and with lesions."""
    return render(person(), [], projection(view), EXPOSURE), render(person(), lesions, projection(view), EXPOSURE)


def test_every_finding_is_drawn() -> None:
    assert set(DRAWINGS) == set(FINDINGS) == BRIGHTER | DARKER | {"hiatal_hernia"}


@pytest.mark.parametrize("finding", FINDINGS)
def test_direction_inside_the_mask(finding: str) -> None:
    without, with_it = pair(arisen(finding))
    mask = with_it.masks()[finding]
    change = (with_it.image - without.image)[mask]
    assert np.abs(change).mean() > 0.02
    if finding in BRIGHTER:
        assert change.mean() > 0.015
    elif finding in DARKER:
        assert change.mean() < -0.03
    else:  # a hernia: air above its level, soft tissue below
        assert change.min() < -0.03
        assert change.max() > 0.03


@pytest.mark.parametrize("finding", sorted(FOCAL))
def test_little_changes_elsewhere(finding: str) -> None:
    without, with_it = pair(arisen(finding))
    change = np.abs(with_it.image - without.image)
    mask = with_it.masks()[finding]
    assert change[mask].mean() > 3 * change[~mask].mean()


@pytest.mark.parametrize("finding", FINDINGS)
@pytest.mark.parametrize("view", ["PA", "AP", "LATERAL"])
def test_masks_and_boxes_agree(finding: str, view: View) -> None:
    _, picture = pair(arisen(finding), view)
    assert picture.seen
    for seen in picture.seen:
        assert seen.mask.shape == (SIZE, SIZE)
        x0, y0, x1, y1 = seen.box
        assert seen.box == box_of(seen.mask)
        assert seen.mask[y0:y1, x0:x1].sum() == seen.mask.sum() > 0


@pytest.mark.parametrize("finding", FINDINGS)
def test_left_of_the_patient_is_right_on_the_picture(finding: str) -> None:
    sided = 0
    for seed in range(6):
        lesions = arisen(finding, seed, None)
        for seen in render(person(), lesions, projection(), EXPOSURE).seen:
            assert seen.lesion.place in PLACES
            if seen.lesion.side is None:
                continue
            sided += 1
            if finding != "central_venous_catheter":  # all of them end on the right
                assert (np.nonzero(seen.mask)[1].mean() > SIZE / 2) == (seen.lesion.side == "left")
            assert {"left": "right", "right": "left"}[seen.lesion.side] not in seen.lesion.place
    assert sided or finding in {
        "cardiomegaly",
        "edema",
        "emphysema",
        "hiatal_hernia",
        "endotracheal_tube",
    }


@pytest.mark.parametrize(
    "finding", ["pleural_effusion", "pneumothorax", "nodule", "mass", "cardiomegaly", "consolidation"]
)
def test_worse_is_larger(finding: str) -> None:
    sizes = []
    for level in (0.15, 0.9):
        picture = render(person(), [arisen(finding)[0].at(level)], projection(), EXPOSURE)
        sizes.append(picture.masks()[finding].sum())
    assert sizes[1] > 1.2 * sizes[0]


def test_effusion_is_whitest_at_the_base_and_climbs_at_the_ribs() -> None:
    lesion = Lesion("pleural_effusion", "left", "left_pleural", 0.4, 1)
    without, with_it = pair([lesion])
    gained = with_it.image - without.image
    rows, columns = np.nonzero(with_it.masks()["pleural_effusion"] & without.lungs)
    low = rows > np.percentile(rows, 60)
    assert gained[rows[low], columns[low]].mean() > gained[rows[~low], columns[~low]].mean()
    lateral, medial = columns > np.percentile(columns, 80), columns < np.percentile(columns, 40)
    assert rows[lateral].min() < rows[medial].min()


def test_pneumothorax_has_no_vessels_beyond_its_edge() -> None:
    picture = render(person(), [Lesion("pneumothorax", "left", "left_pleural", 0.6, 1)], projection(), EXPOSURE)
    rows, _ = np.nonzero(picture.masks()["pneumothorax"])
    assert rows.min() <= np.nonzero(picture.lungs)[0].min() + 2  # air rises to the apex


@pytest.mark.parametrize("level", [0.05, 1.0])
def test_cardiomegaly_is_wider_than_half_the_chest(level: float) -> None:
    def ratio(anatomy: Anatomy) -> float:
        heart = hull(heart_parts(anatomy), projection()).hit
        cx, _, ax, _ = hemithorax(anatomy, "left").at([200 * anatomy.stature])[0]
        return float(heart.any(axis=0).sum() * projection().pitch / (2 * (cx + ax)))

    for seed in range(12):
        anatomy = person(seed)
        assert ratio(anatomy) < 0.52
        enlarged = DRAWINGS["cardiomegaly"].shape(anatomy, Lesion("cardiomegaly", None, "heart_size", level, 0))
        assert ratio(enlarged) > 0.5


def test_emphysema_lowers_and_flattens_the_diaphragm() -> None:
    changed = DRAWINGS["emphysema"].shape(person(), arisen("emphysema")[0])
    assert changed.dome_top("left") > person().dome_top("left") + 10
    assert changed.flatness > person().flatness
    assert changed.lung_density < person().lung_density


def test_fracture_lies_on_its_rib() -> None:
    lesion = arisen("rib_fracture")[0]
    picture = render(person(), [lesion], projection(), EXPOSURE)
    spot = rib_curve(person(), lesion.own_side, int(lesion.spot[1]), np.array([lesion.spot[0]]))
    row, column = (int(v[0]) for v in projection().pixels(spot))
    assert picture.masks()["rib_fracture"][row - 1 : row + 2, column - 1 : column + 2].any()


def test_lungs_and_heart_are_where_they_belong() -> None:
    picture = render(person(), [], projection(), EXPOSURE)
    assert not (picture.lungs & picture.heart).any()
    assert picture.image[picture.lungs].mean() + 0.2 < picture.image[picture.heart].mean()
    assert np.nonzero(picture.heart)[1].mean() > SIZE / 2  # the apex points to the patient's left
    left, right = picture.lungs[:, SIZE // 2 :].sum(), picture.lungs[:, : SIZE // 2].sum()
    assert 0.5 < left / right < 1.1


def test_lesion_without_a_side_has_no_own_side() -> None:
    with pytest.raises(ValueError, match="edema has no side"):
        _ = arisen("edema")[0].own_side


def test_a_finding_is_added_in_one_short_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of docs/phantom.md."""

    class Granuloma(Drawing):
        def arise(self, rng: np.random.Generator, anatomy: Anatomy) -> list[Lesion]:
            return [Lesion("granuloma", "left", "left_mid_lung", 0.5, 1, (0.6, 0.5, 0.0))]

        def draw(self, scene: Scene, lesion: Lesion) -> Mask:
            path = Ellipsoid(lung_point(scene.anatomy, lesion.own_side, *lesion.spot), (4.0, 4.0, 4.0)).chord(
                scene.projection
            )
            scene.bone += path
            return path > 0

    monkeypatch.setitem(DRAWINGS, "granuloma", Granuloma())
    without, with_it = pair(Granuloma().arise(np.random.default_rng(0), person()))
    mask = with_it.masks()["granuloma"]
    assert (with_it.image - without.image)[mask].mean() > 0.05
    assert mask.sum() * projection().pitch ** 2 == pytest.approx(np.pi * 4**2, rel=0.5)
    with pytest.raises(TypeError, match="Drawing does not say how it arises"):
        Drawing().arise(np.random.default_rng(0), person())
