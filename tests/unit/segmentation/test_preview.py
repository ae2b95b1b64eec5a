import sys

import matplotlib.image
import numpy as np
import pytest

from lesionbench.data.phantom import lungs_of, synthesise
from lesionbench.data.studies import Phantom
from lesionbench.errors import UserError
from lesionbench.segmentation.preview import refuse_without_matplotlib, write_preview

PHANTOM = Phantom(studies=1, annotated=1, size=64, slices=(16, 18))


def count(picture, colour):
    """How many pixels are close to a colour."""
    return (np.abs(picture[..., :3] - np.array(colour) / 255).max(axis=-1) < 0.1).sum()


def test_a_sheet_shows_slices_with_the_contours_of_lesion_and_lungs(tmp_path):
    ct, lesion = synthesise("study_1", "CT-3", PHANTOM)
    sheets = {}
    for name, mask, lungs in (
        ("both", lesion, lungs_of("study_1", PHANTOM)), ("lesion", lesion, None), ("none", lesion * 0, None),
    ):  # fmt: skip
        write_preview(ct, mask, lungs, "A title", tmp_path / f"{name}.png")
        sheets[name] = matplotlib.image.imread(tmp_path / f"{name}.png")
    orange, blue = (230, 159, 0), (86, 180, 233)
    assert count(sheets["both"], orange) > 500 and count(sheets["both"], blue) > 500
    assert count(sheets["lesion"], orange) > 500 and count(sheets["lesion"], blue) == 0
    assert count(sheets["none"], orange) == 0 and sheets["none"].shape == sheets["both"].shape


def test_a_picture_without_matplotlib_is_refused_with_what_to_install(monkeypatch):
    refuse_without_matplotlib()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=r"--preview needs matplotlib.*the extra `report`"):
        refuse_without_matplotlib()
