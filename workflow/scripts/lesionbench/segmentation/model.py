"""`lesionbench.load_model`: trained models in Python, from an array or a file to a lesion mask and its volume."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lesionbench.data.nifti import write_mask
from lesionbench.data.reading import AS_IS
from lesionbench.data.scans import read_ct
from lesionbench.data.volume import Volume
from lesionbench.errors import UserError
from lesionbench.segmentation.batch import Ensemble, load_ensemble, segment_scan, where_to_look
from lesionbench.segmentation.found_lungs import refuse_no_hu
from lesionbench.segmentation.lungs import Lungs, find_lungs
from lesionbench.segmentation.measure import doubts, measure
from lesionbench.segmentation.probabilities import write_probability
from lesionbench.segmentation.runs import find_runs


@dataclass(frozen=True)
class Segmentation:
    """What a model finds in a CT, on the CT's own grid.

    probability: of lesion, float32 (i, j, k), 0 to 1; mask: bool (i, j, k).
    """

    probability: np.ndarray = field(repr=False)
    mask: np.ndarray = field(repr=False)
    _volume: Volume = field(repr=False)
    _lungs: Lungs = field(repr=False)

    @property
    def affine(self) -> np.ndarray:
        """Index to mm (4, 4), as in NIfTI."""
        return self._volume.affine

    @property
    def spacing(self) -> np.ndarray:
        """Voxel size (3,) in mm."""
        return self._volume.spacing

    @property
    def lungs(self) -> np.ndarray | None:
        """uint8 (i, j, k): 1 in the right lung, 2 in the left; None where none that can be used are found."""
        return None if self._lungs.failure else self._lungs.mask

    @cached_property
    def measures(self) -> dict[str, Any]:
        """What `docs/segment.md` lists: volumes in ml, the share of the lungs involved, slices with lesion."""
        return measure(self.mask, self._volume.grid, self.lungs)

    @property
    def lesion_ml(self) -> float:
        """The volume of the mask in ml."""
        return float(self.measures["lesion_ml"])

    @property
    def warnings(self) -> list[str]:
        """What shows that the mask cannot be a lesion, and what may be wrong with the lungs."""
        lungs = filter(None, (self._lungs.failure, self._lungs.warning))
        return [*doubts(self.measures, self._volume.grid), *lungs]

    def save(self, path: str | Path) -> None:
        """Write the mask as NIfTI (.nii.gz), with the forms of the CT's header where it came from a file."""
        write_mask(path, self.mask, self.affine, self._volume.forms)

    def save_probability(self, path: str | Path) -> None:
        """Write the probability as NIfTI in 8 bits; viewers show 0 to 1."""
        write_probability(self._volume, path)


@dataclass(frozen=True)
class Model:
    """One trained network, or several whose probabilities are averaged (`lesionbench.load_model`)."""

    ensemble: Ensemble = field(repr=False)

    def segment(
        self,
        ct: str | Path | np.ndarray,
        affine: np.ndarray | None = None,
        *,
        whole: bool = False,
        force: bool = False,
    ) -> Segmentation:
        """Segment a chest CT, research only.

        ct: a file (NIfTI, NRRD, MetaImage), a folder of DICOM slices, or HU (i, j, k); affine: of an array, index to mm
        (4, 4) along Right, Anterior, Superior; whole: look for lesions far from the lungs too; force: segment also what
        is no CT in HU.

        Raises UserError, naming the scan, where it cannot be read or is no CT in HU; where an array has no affine.
        """
        name = "The array" if isinstance(ct, np.ndarray) else str(ct)
        if not isinstance(ct, np.ndarray) and affine is not None:
            raise UserError(f"{ct}: a file has its own affine. Leave the argument out.")
        volume = _as_volume(ct, affine) if isinstance(ct, np.ndarray) else read_ct(Path(ct), AS_IS)
        if not force:
            refuse_no_hu(name, volume, "; force=True segments it all the same")
        lungs = find_lungs(volume)
        found = segment_scan(self.ensemble, name, volume, None if whole else where_to_look(lungs))
        return Segmentation(found.probability.data, found.lesion, found.probability, lungs)


def _as_volume(hu: np.ndarray, affine: np.ndarray | None) -> Volume:
    if hu.ndim != 3 or affine is None or np.shape(affine) != (4, 4):
        raise UserError("A CT as an array has three axes and comes with its affine (4, 4), from index to mm.")
    return Volume(hu, np.asarray(affine, np.float64))


def load(
    runs: str | Path | Sequence[str | Path], device: str, precision: str, mirror: bool, code: Sequence[str]
) -> Model:
    """Return the model of `lesionbench.load_model`, which says what the arguments are."""
    if precision not in ("training", "float32", "bfloat16"):
        raise UserError(f"precision is {precision!r}. Give training, float32 or bfloat16.")
    folders = [runs] if isinstance(runs, str | Path) else runs
    return Model(load_ensemble(find_runs([Path(run) for run in folders]), device, mirror, code, precision=precision))
