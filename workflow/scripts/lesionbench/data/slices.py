"""A study as slices of one plane, clipped to a Hounsfield window, and the file that keeps them for training."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lesionbench.data.arrays import Form, read_arrays, read_shapes
from lesionbench.data.preprocessing import Preprocessing
from lesionbench.data.volume import LAST_CODE, PLANES, Forms, Volume, match_grid, slice_spacing, to_slices
from lesionbench.errors import UserError
from lesionbench.files import atomic

_FORMS = {
    "study": Form("U"),
    "plane": Form("U"),
    "image": Form("int16", (None, None, None)),
    "mask": Form("uint8", (None, None, None), needed=False),
    "affine": Form("f", (4, 4)),
    "spacing": Form("f", (3,)),
    "sform": Form("f", (4, 4), needed=False),
    "qform": Form("f", (4, 4), needed=False),
    "codes": Form("i", (2,), needed=False),
}


@dataclass(frozen=True)
class SliceStack:
    """The slices of a study in radiological display orientation.

    image: int16 (slices, height, width), clipped HU.
    mask: uint8, same shape, 1 lesion; None for a scan without reference.
    affine: (4, 4) of the source grid, with which `volume.from_slices` leads back.
    spacing: (3,) mm between slices, rows and columns.
    forms: of the source's header, as of a Volume.
    """

    study: str
    plane: str
    image: np.ndarray
    mask: np.ndarray | None
    affine: np.ndarray
    spacing: np.ndarray
    forms: Forms | None = None


def stack_slices(study: str, ct: Volume, mask: Volume | None, preprocessing: Preprocessing) -> SliceStack:
    """Cut a CT, and its mask if there is one, into slices.

    HU are rounded to whole numbers (halves to even; only scans stored with a fractional scale need it) and clipped to
    the window. Over 1000 this is the paper's intensity (section 4.5).

    Raises UserError where CT and mask lie on different grids (`volume.match_grid`).
    """
    if mask is not None:
        mask = match_grid(study, ct, mask)
    plane = preprocessing.plane
    slices = to_slices(ct.data, ct.affine, plane)
    # Straight into the final order and type, so that no more than a slice is there in another one.
    image = np.empty(slices.shape, np.int16)
    for hu, clipped in zip(slices, image, strict=True):
        whole = np.rint(hu) if hu.dtype.kind == "f" else hu
        np.clip(whole, *preprocessing.hu_window, out=clipped, casting="unsafe")
    return SliceStack(
        study=study,
        plane=plane,
        image=image,
        mask=None if mask is None else np.ascontiguousarray(to_slices(mask.data, ct.affine, plane)),
        affine=ct.affine,
        spacing=slice_spacing(ct.affine, plane),
        forms=ct.forms,
    )


def save_stack(stack: SliceStack, path: str | Path) -> None:
    """Write a stack as npz, stored and not deflated: it is read once an experiment and a training waits for it."""
    arrays = {name: value for name, value in vars(stack).items() if value is not None and name != "forms"}
    arrays |= stack.forms._asdict() if stack.forms else {}
    with atomic(path) as temporary:
        np.savez(temporary, **arrays)


def load_stack(path: str | Path) -> SliceStack:
    """Read a stack written by `save_stack`. Raises UserError, naming the file, where it is missing or damaged."""
    with _readable(path):
        arrays = read_arrays(path, _FORMS)
        stack = SliceStack(
            study=str(arrays["study"]),
            plane=str(arrays["plane"]),
            image=arrays["image"],
            mask=arrays.get("mask"),
            affine=arrays["affine"],
            spacing=arrays["spacing"],
            forms=_forms(arrays),
        )
        _check(stack)
        return stack


def _forms(arrays: Mapping[str, np.ndarray]) -> Forms | None:
    parts = [arrays[name] for name in Forms._fields if name in arrays]
    if not parts:
        return None
    sform, qform, codes = parts  # a ValueError where one is missing
    return Forms(sform, qform, tuple(codes.tolist()))


def _check(stack: SliceStack) -> None:
    """Raise ValueError where the parts of a stack do not fit each other."""
    if stack.plane not in PLANES:
        raise ValueError(f"its plane is {stack.plane!r}")
    if not stack.image.size:
        raise ValueError("it has no slices")
    if stack.mask is not None and (stack.mask.shape != stack.image.shape or stack.mask.max() > 1):
        raise ValueError("its mask does not fit its image")
    if abs(np.linalg.det(stack.affine[:3, :3])) < 1e-9:
        raise ValueError("its affine is singular")
    if not np.allclose(stack.spacing, slice_spacing(stack.affine, stack.plane), rtol=1e-3):
        raise ValueError("its spacing is not that of its affine")
    if stack.forms and not 0 <= min(stack.forms.codes) <= max(stack.forms.codes) <= LAST_CODE:
        raise ValueError("its forms have codes that NIfTI does not know")


def stack_shape(path: str | Path) -> tuple[int, int, int]:
    """Return (slices, height, width) of a saved stack from its header alone, to size memory before loading."""
    with _readable(path):
        slices, height, width = read_shapes(path, _FORMS)["image"]
        return slices, height, width


def stack_spacing(path: str | Path) -> list[float]:
    """Return mm between slices, rows and columns of a saved stack, without reading its slices."""
    with _readable(path):
        spacing: list[float] = read_arrays(path, {"spacing": _FORMS["spacing"]})["spacing"].tolist()
        if min(spacing) <= 0:
            raise ValueError(f"its spacing is {spacing}")
        return spacing


@contextmanager
def _readable(path: str | Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read as slices ({error}). Delete it and run the workflow again, which rebuilds it."
        ) from error
