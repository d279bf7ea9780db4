"""`medvlp data prepare`: manifests -> a store, in parallel, with a progress bar; run it again after an interruption."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medvlp.progress import progress_bar

if TYPE_CHECKING:
    from medvlp.data.image_kind import AnyPreprocess
    from medvlp.data.manifest import Manifest

_ONLY = {"radiographs": False, "volumes": True}  # is a volume


def prepare(
    manifests: Annotated[list[Path], typer.Argument(help="One or several manifests; they become one store.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the store.")],
    size: Annotated[
        list[str] | None, typer.Option(help="Pixels of the square, or voxels (96, 240x480x480); repeat for several.")
    ] = None,
    spacing: Annotated[
        list[str] | None, typer.Option(help="Of volumes: mm a voxel (3, 1.5x0.75x0.75); one, or one for each size.")
    ] = None,
    only: Annotated[str | None, typer.Option(help="radiographs or volumes, of manifests that mix them.")] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes; one for each core unless given.")] = None,
    part: Annotated[str, typer.Option(help="i/n: this machine's part of the work, on a shared disk.")] = "1/1",
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Decode, reduce and store every image once, and parse every report; training then reads memory maps.

    Example: `medvlp data prepare mimic.parquet -o store --size 224 --workers 8`, or of CT volumes
    `medvlp data prepare ctrate.parquet -o store --size 96 --spacing 3`

    Files that cannot be read go to quarantine.csv with the reason, and the command ends with status 1. After a crash
    or a kill the same command goes on where it stopped.
    """
    from medvlp.data.manifest import Manifest
    from medvlp.data.preparation import prepare_part
    from medvlp.data.store import Store
    from medvlp.io.paths import refuse_path_conflicts

    if only not in (None, *_ONLY):
        raise typer.BadParameter(f"{only!r} is none of {', '.join(_ONLY)}", param_hint="--only")
    numbers = re.fullmatch(r"(\d+)/(\d+)", part)
    if not numbers:
        raise typer.BadParameter(f"{part!r} is not i/n, such as 2/8", param_hint="--part")
    refuse_path_conflicts(manifests, [out])
    manifest = Manifest.concat([Manifest.load(path) for path in manifests])
    if only:
        manifest = manifest.select(manifest.volumes == _ONLY[only])
    sizes = _preprocess(manifest, size, spacing)
    with _bars(quiet=as_json) as show:
        missing = prepare_part(manifest, out, int(numbers[1]), int(numbers[2]), sizes, workers=workers, progress=show)
    if missing:
        typer.echo(
            json.dumps({"missing_shards": missing}) if as_json else f"{missing} shards of other parts still to come"
        )
        return
    store = Store.open(out)
    counts = {"images": len(store), "reports": len(store.reports), "quarantined": store.quarantined}
    if as_json:
        typer.echo(json.dumps({**counts, "hash": store.hash, "generated": store.generated}))
    else:
        typer.echo("{images} images and {reports} reports; {quarantined} in quarantine".format(**counts))
        if store.quarantined:
            typer.echo(f"reasons: {out / 'quarantine.csv'}")
    raise typer.Exit(1 if store.quarantined else 0)


def _preprocess(manifest: Manifest, sizes: list[str] | None, spacings: list[str] | None) -> list[AnyPreprocess] | None:
    """One preprocessing a size, of the manifest's kind; None for the default.

    Raises:
        ValueError: a size or spacing that does not fit the kind, or another number of spacings than of sizes.
    """
    from medvlp.data.image_kind import preprocess_class
    from medvlp.data.preprocess import Preprocess
    from medvlp.data.volume_preprocess import VolumePreprocess

    if preprocess_class(manifest.table) is Preprocess:
        if spacings:
            raise ValueError("--spacing is of volumes, and these are radiographs: leave it out")
        return [Preprocess(size=int(_numbers("--size", text, 1)[0])) for text in sizes] if sizes else None
    default = VolumePreprocess()
    voxels = [_numbers("--size", text, 3) for text in sizes or [default.name]]
    millimeters = [_numbers("--spacing", text, 3) for text in spacings] if spacings else [default.spacing]
    if len(millimeters) not in (1, len(voxels)):
        raise ValueError(
            f"--spacing {len(millimeters)} times and --size {len(voxels)} times: one, or one for each size"
        )
    pairs = zip(voxels, millimeters * (len(voxels) if len(millimeters) == 1 else 1), strict=True)
    return [VolumePreprocess(size=tuple(map(int, size)), spacing=distances) for size, distances in pairs]


def _numbers(option: str, text: str, axes: int) -> tuple[float, ...]:
    """`96` or `240x480x480` -> one number an axis; those of a size have to be whole."""
    pattern = r"\d+" if option == "--size" else r"\d*\.?\d+"
    parts = text.split("x")
    if len(parts) not in (1, axes) or not all(re.fullmatch(pattern, part) for part in parts):
        raise ValueError(
            f"{option} {text!r} is not a {'whole ' if option == '--size' else ''}number"
            + (", or three with x between them (to the head, the front, the right)" if axes == 3 else "")
        )
    return tuple(float(part) for part in parts) * (axes // len(parts))


@contextmanager
def _bars(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each stage; the stages come one after the other."""
    with ExitStack() as stage:
        shown: dict[str, Callable[[int, int], None]] = {}

        def show(name: str, done: int, total: int) -> None:
            if name not in shown:
                stage.close()
                shown[name] = stage.enter_context(progress_bar(name, quiet))
            shown[name](done, total)

        yield show
