"""NIH ChestX-ray14, COVID images, pediatric pneumonia: official layouts, known defects, real reduced folders."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from medvlp.data import index_data_set
from medvlp.data.sources import covid_cxr, nih_cxr, pediatric_pneumonia

Files = Callable[..., Path]

REAL = Path(os.environ.get("MEDVLP_REAL_DATA", Path(__file__).parents[4] / "shared" / "data"))

NIH = """Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],
00000001_000.png,Cardiomegaly|Emphysema,0,1,58,M,PA,2682,2749,0.143,0.143,
00000001_001.png,No Finding,1,1,414,M,PA,2894,2729,0.143,0.143,
00000002_000.png,Hernia,0,2,81,F,AP,2500,2048,0.171,0.171,
"""  # noqa: E501
NIH_BOXES = """Image Index,Finding Label,Bbox [x,y,w,h],,,
00000001_000.png,Infiltrate,225.08,547.01,86.78,79.18,,,
00000001_000.png,Cardiomegaly,10,20,30,40,,,
"""


def test_nih_layout(layout: Files) -> None:
    root = layout(
        {"Data_Entry_2017.csv": NIH, "BBox_List_2017.csv": NIH_BOXES, "test_list.txt": "00000002_000.png\n"},
        [
            "images_001/images/00000001_000.png",
            "images_001/images/00000001_001.png",
            "images_002/images/00000002_000.png",
        ],
    )
    manifest = nih_cxr.manifest(root)
    table = manifest.table
    assert table["image_id"].tolist() == ["00000001_000", "00000001_001", "00000002_000"]
    assert table["patient_id"].tolist() == ["nih-00000001", "nih-00000001", "nih-00000002"]
    assert table["cardiomegaly"].tolist() == [1, 0, 0]
    assert table["hernia"].tolist() == [0, 0, 1]
    assert table["no_finding"].tolist() == [0, 1, 0]
    assert table["age"].isna().tolist() == [False, True, False]
    assert table["split"][2] == "test"
    assert "test" not in set(table["split"][:2])
    assert [box["finding"] for box in json.loads(table["boxes"][0])] == ["infiltration", "cardiomegaly"]
    assert json.loads(table["boxes"][0])[1]["box"] == [10, 20, 40, 60]
    assert table["path"][2].endswith("images_002/images/00000002_000.png")
    assert manifest.notes == ("nih_cxr: 1 ages above 120 were left empty",)


def test_nih_boxes_follow_the_file_that_is_taken(layout: Files) -> None:
    root = layout({"Data_Entry_2017.csv": NIH, "BBox_List_2017.csv": NIH_BOXES}, ["images_001/images/00000001_001.png"])
    for folder, side in (("images_001/images", 1024), ("images-224", 224)):
        (root / folder).mkdir(exist_ok=True)
        Image.new("L", (side, side)).save(root / folder / "00000001_000.png")
    first = nih_cxr.manifest(root).table.iloc[0]
    assert first["path"] == str(root / "images_001/images/00000001_000.png")  # the release's own folder
    assert json.loads(first["boxes"])[1]["box"] == [10, 20, 40, 60]
    (root / "images_001/images/00000001_000.png").unlink()
    manifest = nih_cxr.manifest(root)
    assert manifest.table["path"][0] == str(root / "images-224/00000001_000.png")
    assert json.loads(manifest.table["boxes"][0])[1]["box"] == [2.19, 4.38, 8.75, 13.12]
    assert (
        "nih_cxr: 1 images with boxes are of another size than 1024 x 1024: their boxes were scaled" in manifest.notes
    )


COVID = """patientid,offset,sex,age,finding,survival,view,modality,date,location,folder,filename,doi,url,license,clinical_notes,other_notes,
2,0,M,65,Pneumonia/Viral/COVID-19,Y,PA,X-ray,"January 22, 2020","Hanoi, Vietnam",images,a.jpeg,,,,Infiltrate in the upper lobe.,,
2,3,M,65,Pneumonia/Viral/COVID-19,Y,L,X-ray,"January 25, 2020","Hanoi, Vietnam",images,b.jpeg,,,,Progressive infiltrate.,,
4,,F,52,No Finding,,AP Supine,X-ray,,,images,c.png,,,,,,
5,,F,52,Tuberculosis,,Axial,CT,,,volumes,d.nii.gz,,,,,,
6,,,,todo,,AP,X-ray,,,images,e.png,,,,,,
"""  # noqa: E501


def test_covid_layout(layout: Files) -> None:
    images = [f"images/{n}" for n in ("a.jpeg", "b.jpeg", "c.png", "e.png")]
    masks = [f"semantic_masks_v7labs_lungs/{n}" for n in ("a.jpeg", "b.jpeg")]
    manifest = covid_cxr.manifest(layout({"metadata.csv": COVID}, images + masks))
    table = manifest.table
    assert table["image_id"].tolist() == ["covid-a.jpeg", "covid-b.jpeg", "covid-c.png", "covid-e.png"]
    assert table["view"].tolist() == ["PA", "LATERAL", "AP", "AP"]
    assert table["pneumonia"].tolist() == [1, 1, 0, -1]
    assert table["covid_pneumonia"].tolist() == [1, 1, 0, -1]
    assert table["tuberculosis"].tolist() == [-1, -1, 0, -1]
    assert table["no_finding"].tolist() == [0, 0, 1, -1]
    assert [bool(m) for m in table["mask_lungs"]] == [True, False, False, False]  # that of the lateral view is empty
    assert manifest.notes == ("covid_cxr: 1 rows are no radiograph (CT) and were left out",)
    assert not table.drop(columns="path").astype(str).apply(lambda c: c.str.contains("Hanoi|2020")).any().any()


def test_covid_copies_stay_in_one_split(layout: Files) -> None:
    header = "patientid,offset,sex,age,finding,view,modality,filename,clinical_notes\n"
    rows = [f"{patient},0,M,60,Pneumonia,PA,X-ray,{patient}.png," for patient in range(40)]
    rows += [f"{100 + patient},0,M,60,Pneumonia,PA,X-ray,{patient}.jpg," for patient in range(40)]
    images = [f"images/{i}.{e}" for i in range(40) for e in ("png", "jpg")]
    table = covid_cxr.manifest(layout({"metadata.csv": header + "\n".join(rows)}, images)).table
    split = table.set_index("image_id")["split"]
    assert all(split[f"covid-{i}.png"] == split[f"covid-{i}.jpg"] for i in range(40))
    assert split.nunique() == 3
    assert table["patient_id"].nunique() == 80


def test_pediatric_layout(layout: Files) -> None:
    root = layout(
        {},
        [
            "chest_xray/train/PNEUMONIA/person1_bacteria_1.jpeg",
            "chest_xray/train/PNEUMONIA/person1_virus_7.jpeg",
            "chest_xray/train/NORMAL/IM-0115-0001.jpeg",
            "chest_xray/train/NORMAL/NORMAL2-IM-0115-0001.jpeg",
            "chest_xray/val/PNEUMONIA/person1946_bacteria_4874.jpeg",
            "chest_xray/test/PNEUMONIA/person1_virus_6.jpeg",
        ],
    )
    table = pediatric_pneumonia.manifest(root).table.set_index("image_id")
    assert table.loc["ped-person1_bacteria_1", "patient_id"] == table.loc["ped-person1_virus_7", "patient_id"]
    assert table.loc["ped-test-person1_virus_6", "patient_id"] != table.loc["ped-person1_virus_7", "patient_id"]
    assert table.loc["ped-IM-0115-0001", "patient_id"] != table.loc["ped-NORMAL2-IM-0115-0001", "patient_id"]
    assert (table["split"] == "test").tolist() == [i.startswith("ped-test") for i in table.index]
    assert table["pneumonia"].tolist() == [1 - n for n in table["no_finding"]]
    assert table["no_finding"].sum() == 2


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "images", "patients"),
    [("covid_cxr", 277, 134), ("nih_cxr", 357, 254), ("pediatric_pneumonia", 5216, 2846)],
)
def test_real_folders(name: str, images: int, patients: int) -> None:
    if not (REAL / name).is_dir():
        pytest.skip(f"no real data at {REAL / name}; set MEDVLP_REAL_DATA")
    manifest = index_data_set(name, REAL / name)
    assert len(manifest) == images
    assert manifest.table["patient_id"].nunique() == patients
    assert set(manifest.table["split"]) == {"train", "validate", "test"}
    assert manifest.missing_files() == []
