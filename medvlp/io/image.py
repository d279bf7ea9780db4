"""`Image`: what every reader returns: pixels, geometry and metadata, nothing that identifies a patient."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Image:
    """One radiograph or one volume with its geometry.

    Attributes:
        array: float32. Radiograph `[H, W]`: display values between 0 (black) and 1 (white), bone bright, after modality
            LUT, VOI LUT or window and the inversion of MONOCHROME1. Volume `[D, H, W]`: Hounsfield units for CT.
        spacing: millimeters along each axis of `array`; None where the file does not say.
        orientation: radiograph: DICOM Patient Orientation of rows and columns, such as `L\\F`, or "" where unknown;
            volume: axis codes along `array`, `SAR` as `read_volume` returns it, or "".
        modality: DICOM modality code (`CR`, `DX`, `CT`, `MR`, ...); `OT` where the file does not say.
        view: `PA | AP | LATERAL | LL | ...` as the file says, or "".
        source: the file's kind (`dicom`, `png`, `jpeg`, `nifti`), never a path with a patient's name.
        steps: what was done to the values, in order and in words, such as `window 2048/4096 LINEAR`; `inspect` prints
            it.
        frame: index of the frame that was read from a multi-frame object, else None.
        frames: how many the object has.
        object_class: name of its DICOM SOP class (PS3.4 B.5), such as `CT Image Storage`; "" for other files.
        body_part: DICOM Body Part Examined, or "".
        burned_in: the file says that its pixels hold an annotation, which may identify somebody.
        colored: more than a few of its pixels have a hue; a radiograph's have none.
        affine: float64 `[4, 4]`, volumes alone: `(d, h, w, 1)` to RAS millimeters; None where unknown.
        padding: bool, of the shape of `array`: pixels that hold no measurement; nothing interpolates them. None where
            every pixel is one.

    Examples:
        >>> image = Image(np.zeros((2, 3), np.float32), spacing=(0.5, 0.5))
        >>> image.shape, np.asarray(image).dtype, float(image[0, 0])
        ((2, 3), dtype('float32'), 0.0)
    """

    array: NDArray[np.float32]
    spacing: tuple[float, ...] | None = None
    orientation: str = ""
    modality: str = "OT"
    view: str = ""
    source: str = ""
    steps: tuple[str, ...] = field(default=())
    frame: int | None = None
    affine: NDArray[np.float64] | None = None
    padding: NDArray[np.bool_] | None = None
    frames: int = 1
    object_class: str = ""
    body_part: str = ""
    burned_in: bool = False
    colored: bool = False

    def __post_init__(self) -> None:
        if self.array.dtype != np.float32 or self.array.ndim not in (2, 3):
            raise ValueError(f"Image.array is float32 [H, W] or [D, H, W]; got {self.array.dtype} {self.array.shape}")
        if self.spacing is not None and len(self.spacing) != self.array.ndim:
            raise ValueError(f"Image.spacing needs {self.array.ndim} values for {self.array.shape}; got {self.spacing}")
        if self.affine is not None and (self.affine.shape != (4, 4) or self.array.ndim != 3):
            raise ValueError(f"Image.affine is [4, 4], for volumes alone; got {self.affine.shape}")
        if self.padding is not None and self.padding.shape != self.array.shape:
            raise ValueError(f"Image.padding has the shape of array, {self.array.shape}; got {self.padding.shape}")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """`np.asarray(image)` is `image.array`."""
        return np.array(self.array, dtype) if copy else np.asarray(self.array, dtype)

    def __getitem__(self, index: Any) -> Any:
        return self.array[index]

    def __len__(self) -> int:
        return len(self.array)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def ndim(self) -> int:
        return self.array.ndim

    @property
    def dtype(self) -> np.dtype[np.float32]:
        return self.array.dtype
