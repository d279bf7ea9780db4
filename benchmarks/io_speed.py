"""Reading speed as ratios within one run: bare decoders, MONAI's LoadImage, SimpleITK.

    pip install -e '.[test,benchmarks]' -c constraints.txt
    OMP_NUM_THREADS=1 python benchmarks/io_speed.py --out io_speed.json

Files are made here: noise with the smoothness of a radiograph, 2048 x 2500 of 12 bits in each syntax, and a CT of 134
slices of 512 x 512. Every figure is the best of several runs. Targets: at most 1.2 times the fastest installed bare
decoder for each syntax; uncompressed radiographs at least 2 times as fast as MONAI; the CT at least 4 times as fast as
MONAI and no slower than SimpleITK. A peer that is not installed is left out.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid
from scipy.ndimage import gaussian_filter, zoom

from medvlp.io import read_image, read_volume
from medvlp.io.decoders import decode_frame
from medvlp.io.dicom_file import parse_dicom
from medvlp.io.pixel_layout import read_layout
from medvlp.io.readers import THREADS
from medvlp.io.stored_values import encapsulated_frame

SYNTAXES: dict[str, tuple[str, Callable[[NDArray[Any]], bytes]]] = {
    "JPEG baseline": (
        "1.2.840.10008.1.2.4.50",
        lambda a: imagecodecs.jpeg8_encode((a >> 4).astype(np.uint8), level=90),
    ),
    "JPEG extended": ("1.2.840.10008.1.2.4.51", lambda a: imagecodecs.jpeg8_encode(a, level=90, bitspersample=12)),
    "JPEG lossless": ("1.2.840.10008.1.2.4.70", lambda a: imagecodecs.ljpeg_encode(a, bitspersample=12)),
    "JPEG-LS": ("1.2.840.10008.1.2.4.80", imagecodecs.jpegls_encode),
    "JPEG 2000": (
        "1.2.840.10008.1.2.4.90",
        lambda a: imagecodecs.jpeg2k_encode(a, level=0, codecformat="j2k", reversible=True, bitspersample=12),
    ),
    "HTJ2K": ("1.2.840.10008.1.2.4.201", lambda a: imagecodecs.htj2k_encode(a, reversible=True)),
    "RLE": ("1.2.840.10008.1.2.5", lambda a: _run_lengths(a)),
}


def radiograph(rows: int, columns: int, seed: int) -> NDArray[np.uint16]:
    """12 bits: broad shapes, fine structure and a little noise."""
    rng = np.random.default_rng(seed)
    broad = gaussian_filter(rng.standard_normal((rows // 16 + 1, columns // 16 + 1)), 6)
    image = zoom(broad, 16, order=1)[:rows, :columns] * 6000 + 2000
    image += gaussian_filter(rng.standard_normal((rows, columns)), 1.5) * 60 + rng.standard_normal((rows, columns)) * 4
    return np.clip(image, 0, 4095).astype(np.uint16)


def write(path: Path, values: NDArray[Any], syntax: str, frame: bytes | None = None, **elements: Any) -> Path:
    """A DICOM file with the elements that readers ask for."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(syntax)
    meta.MediaStorageSOPClassUID = elements.pop("SOPClassUID", "1.2.840.10008.5.1.4.1.1.1.1")
    meta.MediaStorageSOPInstanceUID = generate_uid()
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.Modality, ds.PatientName, ds.PatientID, ds.StudyInstanceUID = "DX", "A", "1", "1.2.3"
    ds.Rows, ds.Columns = values.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.BitsAllocated = values.itemsize * 8
    ds.BitsStored = 8 if values.itemsize == 1 else 12
    ds.HighBit = ds.BitsStored - 1
    ds.WindowCenter, ds.WindowWidth = 1 << ds.BitsStored - 1, 1 << ds.BitsStored
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    ds.PixelData = values.astype("<u2").tobytes() if frame is None else encapsulate([frame])
    ds["PixelData"].VR = "OW" if frame is None else "OB"
    dcmwrite(path, ds, enforce_file_format=True)
    return path


def race(runs: dict[str, Callable[[], Any]], seconds: float = 5.0) -> dict[str, float]:
    """Milliseconds of the fastest of several runs of each; they take turns, so that a busy machine is busy for all."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    began = time.perf_counter()
    while len(next(iter(times.values()))) < 3 or time.perf_counter() - began < seconds:
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: 1000 * min(found) for name, found in times.items()}


def bare_decoders(path: Path) -> dict[str, Callable[[], Any]]:
    """Every installed decoder for the file's syntax, each on the bytes of the frame alone."""
    file = parse_dicom(path.read_bytes())
    layout = read_layout(file)
    frame = encapsulated_frame(file, layout, 0)
    decoders: dict[str, Callable[[], Any]] = {"ours": lambda: decode_frame(frame, file.syntax, layout, THREADS)}
    for plugin in ("gdcm", "pylibjpeg", "pyjpegls", "pillow"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run = _pydicom_plugin(plugin, frame, file.syntax, layout)
        if run is not None:
            decoders[f"{plugin} (by pydicom)"] = run
    if file.syntax.endswith((".90", ".201")) and find_spec("openjpeg"):
        import openjpeg

        decoders["openjpeg"] = lambda: openjpeg.decode(frame)
    if file.syntax.endswith(".80") and find_spec("jpeg_ls"):
        import jpeg_ls

        decoders["CharLS"] = lambda: jpeg_ls.decode_pixel_data(frame)
    if file.syntax.endswith("1.2.5") and find_spec("rle"):
        from rle.rle import decode_frame as decode_rle

        decoders["rle"] = lambda: decode_rle(frame, layout.rows * layout.columns, layout.bits_allocated, "<")
    return decoders


def _pydicom_plugin(plugin: str, frame: bytes, syntax: str, layout: Any) -> Callable[[], Any] | None:
    from pydicom.pixels import get_decoder

    try:
        decoder = get_decoder(UID(syntax))
    except NotImplementedError:
        return None
    if plugin not in decoder.available_plugins:
        return None
    element = encapsulate([frame])
    options = {
        "rows": layout.rows, "columns": layout.columns, "samples_per_pixel": 1, "number_of_frames": 1,
        "photometric_interpretation": layout.photometric, "bits_allocated": layout.bits_allocated,
        "bits_stored": layout.bits_stored, "pixel_representation": 0, "pixel_keyword": "PixelData",
    }  # fmt: skip

    def run() -> Any:
        return decoder.as_array(element, decoding_plugin=plugin, **options)

    try:
        run()
    except Exception:  # this plugin does not read this frame, so it is no competitor
        return None
    return run


def readers(path: Path, volume: bool) -> dict[str, Callable[[], Any]]:
    """Whole readers: header, pixels, orientation."""
    made: dict[str, Callable[[], Any]] = {
        "medvlp": (lambda: read_volume(path)) if volume else (lambda: read_image(path))
    }
    if find_spec("monai"):
        from monai.transforms import Compose, LoadImage, Orientation

        steps = [
            LoadImage(reader="PydicomReader", ensure_channel_first=True),
            *([Orientation("RAS")] if volume else []),
        ]
        pipeline = Compose(steps)
        made["MONAI LoadImage"] = lambda: pipeline(str(path))
    if find_spec("SimpleITK"):
        import SimpleITK

        def itk() -> Any:
            if not volume:
                return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
            reader = SimpleITK.ImageSeriesReader()
            reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(path)))
            return SimpleITK.GetArrayFromImage(SimpleITK.DICOMOrient(reader.Execute(), "RAS"))

        made["SimpleITK"] = itk
    return made


def _run_lengths(values: NDArray[np.uint16]) -> bytes:
    planes = [
        imagecodecs.packbits_encode((values >> 8).astype(np.uint8)),
        imagecodecs.packbits_encode(values.astype(np.uint8)),
    ]
    planes = [plane + b"\0" * (len(plane) % 2) for plane in planes]
    header = np.array([2, 64, 64 + len(planes[0]), *[0] * 13], "<u4").tobytes()
    return header + b"".join(planes)


def measure(folder: Path) -> dict[str, dict[str, float]]:
    """Milliseconds of every reader on every file."""
    values = radiograph(2048, 2500, 0)
    result: dict[str, dict[str, float]] = {}
    for name, (syntax, encode) in SYNTAXES.items():
        stored = (values >> 4).astype(np.uint8) if name == "JPEG baseline" else values
        path = write(folder / f"{name}.dcm", stored, syntax, encode(values))
        result[name] = race(bare_decoders(path))
    path = write(folder / "plain.dcm", values, ExplicitVRLittleEndian)
    result["uncompressed radiograph"] = race(readers(path, False))
    series = folder / "series"
    series.mkdir()
    same = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "Modality": "CT", "SeriesInstanceUID": "1.2.4",
        "FrameOfReferenceUID": "1.2.5", "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [0.7, 0.7],
        "SliceThickness": 2.5, "RescaleSlope": 1, "RescaleIntercept": -1024,
    }  # fmt: skip
    for index in range(134):
        place = {"ImagePositionPatient": [-180, -180, -300 + 2.5 * index], "InstanceNumber": index + 1}
        write(
            series / f"{index * 37 % 134:04d}.dcm",
            radiograph(512, 512, index % 4),
            ExplicitVRLittleEndian,
            **same,
            **place,
        )
    result["CT of 134 slices"] = race(readers(series, True), 20)
    return result


def report(result: dict[str, dict[str, float]]) -> str:
    """One line a file: milliseconds of each reader, and how many times ours the fastest other takes."""
    lines = []
    for name, times in result.items():
        ours = next(iter(times.values()))
        others = list(times.values())[1:]
        ratio = f"{min(others) / ours:5.2f}x" if others else "     -"
        lines.append(f"{name:24} {ratio}  " + "  ".join(f"{who} {value:.1f} ms" for who, value in times.items()))
    return "\n".join(["fastest other / ours", *lines])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = measure(Path(scratch))
    print(report(found))
    if options.out:
        options.out.write_text(json.dumps(found, indent=1))
