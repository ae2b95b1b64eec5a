"""A page of the viewer holds the CT and the masks where they lie, and nothing that it would have to fetch."""

import hashlib
import re

import nibabel as nib
import numpy as np
import pytest

from lesionbench.data.volume import PLANES, Volume, to_slices
from lesionbench.errors import UserError
from lesionbench.report import viewer
from lesionbench.report.style import INK, SKY, contour_colours
from lesionbench.report.viewer import Mask, Shown, render_viewer, write_viewer
from oriented import make_affine
from viewed import ct, masks, rows, scene, script

SHAPE = (12, 14, 10)
NAME = "U-Net </script><b> & co"


def shown(orientation="LPI", tilt=0.0, shape=SHAPE, **changes):
    """A CT of noise with a lesion, a mask of a part of it, and one of nothing."""
    hu = np.random.default_rng(0).integers(-1100, 430, shape).astype(np.int16)
    reference = np.zeros(shape, np.uint8)
    reference[2:5, 3:9, 4:6] = 1
    half = reference.copy()
    half[:, 6:] = 0
    names = [Mask(NAME, half), Mask("nothing", np.zeros(shape, bool))]
    given = {
        "ct": Volume(hu, make_affine(orientation, tilt)),
        "masks": names,
        "reference": Mask("Reference", reference),
    }
    return Shown("study_0001", **(given | changes))


def marked(image):
    """The places in mm of a volume's voxels that are lesion, sorted."""
    places = nib.affines.apply_affine(image.affine, np.argwhere(np.asarray(image.dataobj)))
    return np.array(sorted(places.round(3).tolist()))


@pytest.mark.parametrize(("orientation", "tilt"), [("LPI", 0), ("SAR", 0), ("RAS", 10), ("IRP", -8)])
def test_scan_and_masks_lie_where_they_did(orientation, tilt):
    given = shown(orientation, tilt)
    page = render_viewer(given)
    image = ct(page)
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
    before = nib.as_closest_canonical(nib.Nifti1Image(given.ct.data, given.ct.affine))
    np.testing.assert_allclose(image.get_fdata(), before.get_fdata(), atol=3)
    np.testing.assert_allclose(image.affine, before.affine, atol=1e-4)
    reference, half, nothing = masks(page)
    for found, mask in ((reference, given.reference), (half, given.masks[0])):
        np.testing.assert_allclose(marked(found), marked(nib.Nifti1Image(mask.data, given.ct.affine)), atol=2e-3)
    assert nothing is None and "size" not in scene(page)["contours"][2]


@pytest.mark.parametrize("orientation", ["LPI", "SAR"])
def test_a_page_opens_where_most_lesion_is_by_the_numbers_of_the_tables(orientation):
    given = shown(orientation)
    start = scene(render_viewer(given))["start"]
    for plane in PLANES:
        slices = to_slices(given.reference.data, given.ct.affine, plane)
        assert slices[start[plane]].any() and scene(render_viewer(given))["slices"][plane] == len(slices)
    axial = to_slices(given.reference.data, given.ct.affine, "axial").sum(axis=(1, 2))
    assert axial[start["axial"]] == axial.max()


def test_the_table_has_dice_and_volume_of_each_mask():
    page = render_viewer(shown())
    ml = f"{36 * 1.5 * 2 * 7 / 1000:.1f}"
    assert rows(page) == [["Reference", "", ml], [NAME, "0.67", "0.4"], ["nothing", "0.00", "0.0"]]
    assert [contour["colour"] for contour in scene(page)["contours"]] == [SKY, *contour_colours(2)]
    assert rows(render_viewer(shown(reference=None))) == [[NAME, "0.4"], ["nothing", "0.0"]]


def test_a_name_is_text_and_no_markup():
    page = render_viewer(shown())
    assert scene(page)["contours"][1]["name"] == NAME
    assert "</script><b>" not in page


def test_the_same_study_has_the_same_bytes(tmp_path):
    for name in ("a.html", "b.html"):
        write_viewer(shown(), tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_a_page_asks_for_nothing_else_and_carries_the_licence():
    page = render_viewer(shown())
    assert "default-src 'none'" in page and not re.search(r"""<(link|img|iframe)|\ssrc=|@import|url\(""", page)
    assert "Copyright (c) 2021, Niivue" in page and "Redistribution and use" in page


def test_a_large_volume_is_made_coarser_along_its_finest_axes_and_says_so():
    rough = shown("RAS", shape=(60, 60, 20))
    whole = render_viewer(rough)
    page = render_viewer(rough, largest=len(whole) - 30_000)
    found = scene(page)
    assert found["factor"] == [2, 2, 1] and found["grid"] == [30, 30, 20] and found["slices"]["coronal"] == 60
    assert len(page) < len(whole) - 30_000 and "Downsampled by 2×2×1" in page and "Downsampled" not in whole
    np.testing.assert_allclose(ct(page).affine[:3, 3], ct(whole).affine[:3, 3] + [0.75, 1, 0])
    assert rows(page) == rows(whole)
    blocks = ct(whole).get_fdata().reshape(30, 2, 30, 2, 20).mean(axis=(1, 3))
    np.testing.assert_allclose(ct(page).get_fdata(), blocks, atol=3.1)


def test_what_does_not_fit_however_coarse_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"study_0001: the page would take more than 0.1 MB"):
        write_viewer(shown(), tmp_path / "page.html", largest=100_000)
    assert list(tmp_path.iterdir()) == []


def test_three_dimensions_are_drawn_from_fewer_voxels(monkeypatch):
    assert script(render_viewer(shown()), 'id="body"') is None
    monkeypatch.setattr(viewer, "MOST_SOLID", 7)
    assert script(render_viewer(shown()), 'id="body"')


def test_contours_are_seen_on_a_dark_ground():
    assert INK not in contour_colours(8) and len(set(contour_colours(6))) == 6


def test_the_bundle_is_the_one_that_its_page_names():
    bundle = (viewer.HOME / "niivue" / "niivue.umd.js").read_bytes()
    for file in ("README.md", "fetch.sh"):
        text = (viewer.HOME / "niivue" / file).read_text()
        assert hashlib.sha256(bundle).hexdigest() in text and viewer.NIIVUE_VERSION in text
