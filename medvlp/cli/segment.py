"""`medvlp segment`: files -> masks and overlays at the size of the files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medvlp.cli.image_input import end_with_status, images_below
from medvlp.progress import progress_bar

if TYPE_CHECKING:
    from medvlp.tasks.segment import SegmentedFile


def segment(
    model: Annotated[Path, typer.Argument(help="Folder of `medvlp finetune`.")],
    files: Annotated[list[Path], typer.Argument(help="DICOM, PNG, JPEG or TIFF; folders are walked.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the masks, overlays and segmentation.csv.")],
    force: Annotated[bool, typer.Option("--force", help="Take files that are no radiographs by their header.")] = False,
    frames: Annotated[str, typer.Option(help="Of files with several frames: first, or all, a row each.")] = "first",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """A mask (PNG, 0 and 255) for each structure and an overlay for each file, and a table of areas.

    Example: `medvlp segment runs/lungs patient.dcm more_images/ -o masks`

    A file that cannot be read gets a row with the reason, never stops the others, and makes the exit status 1.
    """
    import pandas as pd

    from medvlp.cli.image_input import output_names
    from medvlp.io.paths import refuse_path_conflicts
    from medvlp.io.walk import IMAGE_SUFFIXES
    from medvlp.tasks.admission import Admission
    from medvlp.tasks.image_files import shown_path
    from medvlp.tasks.model import load
    from medvlp.tasks.segment import segment_files
    from medvlp.training.model_folder import with_notice

    refuse_path_conflicts(files, [out])
    sources = images_below(files)
    loaded = load(model, device).segmenter
    names = dict(zip(map(shown_path, sources), output_names(sources, IMAGE_SUFFIXES), strict=True))
    admission = Admission.of(loaded, force, frames)  # type: ignore[arg-type]
    with progress_bar("segment", quiet=as_json) as progress:
        done = segment_files(loaded, sources, admission=admission, progress=progress)
        rows = [_write(each, out / names[each.file.path], loaded.notice) for each in done]
    table = with_notice(pd.DataFrame(rows), loaded.notice)
    out.mkdir(parents=True, exist_ok=True)
    table.to_csv(out / "segmentation.csv", index=False, float_format="%.4f")
    if as_json:
        typer.echo(table.to_json(orient="records", indent=2, double_precision=4))
    end_with_status(table, "segmented", f"; see {out}")


def _write(file: SegmentedFile, stem: Path, notice: str | None) -> dict[str, Any]:
    """Write one file's pictures; its row of the table."""
    from medvlp.viz import draw_masks, gray_to_rgb, write_png

    row = file.file.columns() | {"status": file.file.status, "remark": file.file.remark}
    if file.image is None:
        return row
    if file.file.frame is not None:
        stem = stem.with_name(f"{stem.name}_frame{file.file.frame}")
    stem.parent.mkdir(parents=True, exist_ok=True)
    for name, mask in file.masks.items():
        write_png(stem.with_name(f"{stem.name}_{name}.png"), mask, notice)
    write_png(stem.with_name(f"{stem.name}_overlay.png"), draw_masks(gray_to_rgb(file.image.array), file.masks), notice)
    return row | file.areas()
