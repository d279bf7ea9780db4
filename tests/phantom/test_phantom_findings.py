"""Each finding against the same chest without it: it changes the image where, and as, it should."""

from __future__ import annotations

import numpy as np
import pytest

from medvlp.knowledge import PLACES
from medvlp.phantom.anatomy import Anatomy, sample_anatomy
from medvlp.phantom.findings import FINDING_MODELS, FINDINGS, FindingModel, Lesion
from medvlp.phantom.geometry import Ellipsoid, Projection, View
from medvlp.phantom.materials import Mask, MaterialMaps
from medvlp.phantom.organs import heart_parts, hemithorax, hull, lung_point
from medvlp.phantom.render import RenderedView, bounding_box, render
from medvlp.phantom.skeleton import rib_curve
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
    lesions = FINDING_MODELS[finding].sample(np.random.default_rng(seed), person())
    return lesions if level is None else [lesion.with_level(level) for lesion in lesions]


def pair(lesions: list[Lesion], view: View = "PA") -> tuple[RenderedView, RenderedView]:
    """The same chest without and with lesions."""
    return render(person(), [], projection(view), EXPOSURE), render(person(), lesions, projection(view), EXPOSURE)


def test_every_finding_is_drawn() -> None:
    assert set(FINDING_MODELS) == set(FINDINGS) == BRIGHTER | DARKER | {"hiatal_hernia"}


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
    _, rendered = pair(arisen(finding), view)
    assert rendered.visible
    for seen in rendered.visible:
        assert seen.mask.shape == (SIZE, SIZE)
        x0, y0, x1, y1 = seen.box
        assert seen.box == bounding_box(seen.mask)
        assert seen.mask[y0:y1, x0:x1].sum() == seen.mask.sum() > 0


@pytest.mark.parametrize("finding", FINDINGS)
def test_left_of_the_patient_is_right_on_the_image(finding: str) -> None:
    sided = 0
    for seed in range(6):
        lesions = arisen(finding, seed, None)
        for seen in render(person(), lesions, projection(), EXPOSURE).visible:
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
        rendered = render(person(), [arisen(finding)[0].with_level(level)], projection(), EXPOSURE)
        sizes.append(rendered.masks()[finding].sum())
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
    rendered = render(person(), [Lesion("pneumothorax", "left", "left_pleural", 0.6, 1)], projection(), EXPOSURE)
    rows, _ = np.nonzero(rendered.masks()["pneumothorax"])
    assert rows.min() <= np.nonzero(rendered.lungs)[0].min() + 2  # air rises to the apex


@pytest.mark.parametrize("level", [0.05, 1.0])
def test_cardiomegaly_is_wider_than_half_the_chest(level: float) -> None:
    def ratio(anatomy: Anatomy) -> float:
        heart = hull(heart_parts(anatomy), projection()).hit
        cx, _, ax, _ = hemithorax(anatomy, "left").sections_at([200 * anatomy.stature])[0]
        return float(heart.any(axis=0).sum() * projection().pitch / (2 * (cx + ax)))

    for seed in range(12):
        anatomy = person(seed)
        assert ratio(anatomy) < 0.52
        enlarged = FINDING_MODELS["cardiomegaly"].deform(anatomy, Lesion("cardiomegaly", None, "heart_size", level, 0))
        assert ratio(enlarged) > 0.5


def test_emphysema_lowers_and_flattens_the_diaphragm() -> None:
    with_changes = FINDING_MODELS["emphysema"].deform(person(), arisen("emphysema")[0])
    assert with_changes.dome_top("left") > person().dome_top("left") + 10
    assert with_changes.flatness > person().flatness
    assert with_changes.lung_density < person().lung_density


def test_fracture_lies_on_its_rib() -> None:
    lesion = arisen("rib_fracture")[0]
    rendered = render(person(), [lesion], projection(), EXPOSURE)
    position = rib_curve(person(), lesion.required_side, int(lesion.position[1]), np.array([lesion.position[0]]))
    row, column = (int(v[0]) for v in projection().pixels(position))
    assert rendered.masks()["rib_fracture"][row - 1 : row + 2, column - 1 : column + 2].any()


def test_lungs_and_heart_are_where_they_belong() -> None:
    rendered = render(person(), [], projection(), EXPOSURE)
    assert not (rendered.lungs & rendered.heart).any()
    assert rendered.image[rendered.lungs].mean() + 0.2 < rendered.image[rendered.heart].mean()
    assert np.nonzero(rendered.heart)[1].mean() > SIZE / 2  # the apex points to the patient's left
    left, right = rendered.lungs[:, SIZE // 2 :].sum(), rendered.lungs[:, : SIZE // 2].sum()
    assert 0.5 < left / right < 1.1


def test_lesion_without_a_side_has_no_own_side() -> None:
    with pytest.raises(ValueError, match="edema has no side"):
        _ = arisen("edema")[0].required_side


def test_a_finding_is_added_in_one_short_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of docs/phantom.md."""

    class Granuloma(FindingModel):
        def sample(self, rng: np.random.Generator, anatomy: Anatomy) -> list[Lesion]:
            return [Lesion("granuloma", "left", "left_mid_lung", 0.5, 1, (0.6, 0.5, 0.0))]

        def draw(self, maps: MaterialMaps, lesion: Lesion) -> Mask:
            path = Ellipsoid(lung_point(maps.anatomy, lesion.required_side, *lesion.position), (4.0, 4.0, 4.0)).chord(
                maps.projection
            )
            maps.bone += path
            return path > 0

    monkeypatch.setitem(FINDING_MODELS, "granuloma", Granuloma())
    without, with_it = pair(Granuloma().sample(np.random.default_rng(0), person()))
    mask = with_it.masks()["granuloma"]
    assert (with_it.image - without.image)[mask].mean() > 0.05
    assert mask.sum() * projection().pitch ** 2 == pytest.approx(np.pi * 4**2, rel=0.5)
    with pytest.raises(TypeError, match="abstract class FindingModel"):
        FindingModel().sample(np.random.default_rng(0), person())
