"""ROCO and Open-i: their layouts and known defects."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

from medvlp.data.sources import openi, roco

Files = Callable[..., Path]


def test_roco_original_layout(layout: Files) -> None:
    root = layout(
        {
            "train/radiology/captions.txt": 'ROCO_00001\t Chest X-ray showing "air" under the diaphragm.\n'
            "ROCO_00002\t CT of the liver.\nROCO_00003\t\n",
            "train/radiology/licences.txt": "ROCO_00001\tPMC1_a.jpg\tCC BY\nROCO_00002\tPMC1_b.jpg\tCC BY\n",
            "test/radiology/captions.txt": "ROCO_00004\t MR.\n",
            "test/radiology/licences.txt": "ROCO_00004\tPMC1_c.jpg\tCC BY\n",
        },
        [*(f"train/radiology/images/ROCO_0000{i}.jpg" for i in (1, 2, 3)), "test/radiology/images/ROCO_00004.jpg"],
    )
    manifest = roco.manifest(root)
    assert manifest.table["image_id"].tolist() == ["roco-ROCO_00004", "roco-ROCO_00001", "roco-ROCO_00002"]
    assert manifest.table["split"].nunique() == 1  # all of one article
    assert manifest.table["report"][1] == 'Chest X-ray showing "air" under the diaphragm.'
    assert manifest.notes == ("roco: 1 figures have no caption",)
    assert roco.manifest(root, chest_radiographs=True).table["image_id"].tolist() == ["roco-ROCO_00001"]


def test_roco_version_2_layout(layout: Files) -> None:
    root = layout({"train_captions.csv": 'ID,Caption\nROCOv2_1,"A, b."\nROCOv2_2,c\n'}, ["train/ROCOv2_1.jpg"])
    manifest = roco.manifest(root)
    assert manifest.table["report"].tolist() == ["A, b."]
    assert len(manifest.notes) == 1


XML = """<?xml version="1.0" encoding="utf-8"?>
<eCitation><uId id="CXR{n}"/><MedlineCitation><Article><Abstract>
<AbstractText Label="COMPARISON"/>
<AbstractText Label="FINDINGS">The lungs are XXXX.</AbstractText>
<AbstractText Label="IMPRESSION">Normal &lt;chest&gt;.</AbstractText>
</Abstract></Article></MedlineCitation>
<parentImage id="CXR{n}_IM-0001-1001"/></eCitation>"""
LABELS = "filename,Atelectasis,Hernia,normal\nCXR1,0,1,0\nCXR7,0,0,1\n"


def archive(root: Path) -> None:
    with tarfile.open(root / "NLMCXR_reports.tgz", "w:gz") as tar:
        for n in (1, 7, 9):
            data = XML.format(n=n).encode()
            member = tarfile.TarInfo(f"ecgen-radiology/{n}.xml")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def test_openi_layouts(layout: Files) -> None:
    root = layout(
        {
            "labels.csv": LABELS,
            "indiana_projections.csv": "uid,filename,projection\n7,7_IM-2263-1001.dcm.png,Frontal\n",
        },
        ["CXR1_1_IM-0001-3001.png", "CXR1_1_IM-0001-4001.png", "images_normalized/7_IM-2263-1001.dcm.png", "other.png"],
    )
    archive(root)
    manifest = openi.manifest(root)
    table = manifest.table.set_index("image_id")
    assert sorted(table.index) == [
        "openi-CXR1_IM-0001-3001",
        "openi-CXR1_IM-0001-4001",
        "openi-CXR7_IM-2263-1001",
    ]
    row = table.loc["openi-CXR7_IM-2263-1001"]
    assert (row["view"], row["patient_id"], row["no_finding"], row["hernia"]) == ("PA", "openi-CXR7", 1, 0)
    assert row["report"] == "FINDINGS: The lungs are XXXX.\nIMPRESSION: Normal <chest>."
    assert table.loc["openi-CXR1_IM-0001-3001", "hernia"] == 1
    assert manifest.notes == ("openi: 1 reports have no image on this disk",)


def test_openi_reports_alone(layout: Files) -> None:
    root = layout({f"ecgen-radiology/{n}.xml": XML.format(n=n) for n in (3, 4)})
    assert openi.reports(root).index.tolist() == ["CXR3", "CXR4"]
