"""A page of the viewer as a user meets it: from a file, in a browser without a network, with mouse and keyboard."""

import io

import numpy as np
import pytest
from PIL import Image

from lesionbench.data.volume import Volume
from lesionbench.report.viewer import Mask, Shown, write_viewer

SHAPE = (40, 36, 20)
SPACING = 4.0
# WebGL by the processor, where there is no graphics card.
DRAWING = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]


def block(*sizes):
    """A mask of a block in the right lung, of these sizes."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[tuple(slice(8, 8 + size) for size in sizes)] = 1
    return mask


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A page of a body of two lungs, with a reference and two models."""
    hu = np.full(SHAPE, -1000, np.int16)
    hu[4:36, 4:32] = 40
    hu[7:18, 8:28] = hu[22:33, 8:28] = -850
    hu[block(8, 8, 6) > 0] = -300
    masks = [Mask("First", block(9, 8, 6)), Mask("Second", block(5, 6, 3)), Mask("Nothing", block(0, 0, 0))]
    affine = np.diag([-SPACING, SPACING, SPACING, 1])  # the first axis points to the left
    path = tmp_path_factory.mktemp("page") / "study.html"
    write_viewer(Shown("study_0001", Volume(hu, affine), masks, Mask("Reference", block(8, 8, 6))), path)
    return path


@pytest.fixture(scope="module")
def chromium(browse):
    return browse(DRAWING)


@pytest.fixture(scope="module")
def opened(file, chromium):
    """The page, with what it has asked of the network and complained of."""
    page = chromium.new_page(viewport={"width": 900, "height": 500})
    page.asked, page.complaints = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("console", lambda message: page.complaints.append(message.text) if message.type == "error" else None)
    page.goto(file.as_uri())
    page.locator("html[data-ready]").wait_for(state="attached")
    return page


@pytest.fixture
def page(opened):
    """The page at the same slices. At the end, nothing was asked of the network and nothing was complained of."""
    opened.keyboard.press("r")
    opened.evaluate("location.hash = '#sagittal=11&coronal=24&axial=10'")
    opened.locator(".active .label", has_text="Axial 10 / 19").wait_for()
    yield opened
    assert [address for address in opened.asked if not address.startswith(("file:", "data:"))] == []
    assert opened.complaints == []


def pixels(page, plane="axial"):
    """The pixels of a pane (height, width, 3)."""
    shot = page.locator(f'.pane[data-plane="{plane}"]').screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)


def painted(image, colour, tolerance=40):
    """How many pixels have about a colour."""
    wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return int((np.abs(image - wanted).max(axis=-1) < tolerance).sum())


def numbers(page):
    return {label.split()[0]: label.split()[1] for label in page.locator(".label").all_inner_texts() if "/" in label}


def test_all_planes_and_three_dimensions_are_drawn(page):
    assert not page.locator("#message").inner_text()
    for plane in ("axial", "coronal", "sagittal"):
        grey = pixels(page, plane).mean(axis=-1)
        # Soft tissue is white and lung dark in the lung window.
        assert (grey > 200).mean() > 0.05 and ((grey > 60) & (grey < 110)).mean() > 0.05, plane
    coloured = [np.ptp(pixels(page, "3-D"), axis=-1) > 60]
    for key in "123":
        page.keyboard.press(key)
    coloured.append(np.ptp(pixels(page, "3-D"), axis=-1) > 60)
    page.keyboard.press("0")
    cube = coloured[1].sum()  # it tells how the body is turned
    assert coloured[0].sum() > cube + 100


def test_the_patients_right_is_on_the_left(page):
    image = pixels(page)
    lesion = np.argwhere(np.abs(image - [0x56, 0xB4, 0xE9]).max(axis=-1) < 40)
    assert len(lesion) and lesion[:, 1].max() < image.shape[1] / 2


def test_a_click_on_a_model_takes_its_contour_away_and_brings_it_back(page):
    orange = "#E69F00"
    before = pixels(page)
    assert painted(before, orange) > 10
    page.get_by_text("Second", exact=True).click()
    assert painted(pixels(page), orange) == 0
    page.get_by_text("Second", exact=True).click()
    assert np.array_equal(pixels(page), before)


def test_the_contour_runs_along_the_mask(page):
    for key in ("2", "3"):
        page.keyboard.press(key)
    image = pixels(page)
    page.keyboard.press("0")
    places = np.argwhere(np.abs(image - [0x56, 0xB4, 0xE9]).max(axis=-1) < 40)
    height, width = places.max(axis=0) - places.min(axis=0)
    # The picture of 36 rows fills the pane, and the block has 8 by 8 voxels.
    voxel = image.shape[0] / SHAPE[1]
    assert abs(width - 8 * voxel) < 0.6 * voxel and abs(height - 8 * voxel) < 0.6 * voxel


def test_a_colour_can_be_chosen(page):
    for colour in ("#ff00ff", "#0072b2"):
        page.get_by_label("Colour of First").fill(colour)
        assert painted(pixels(page), colour) > 10


def test_keys_scroll_switch_and_explain(page):
    page.keyboard.press("ArrowUp")
    page.keyboard.press("PageDown")
    assert numbers(page)["Axial"] == "1"
    page.keyboard.press("End")
    assert numbers(page)["Axial"] == str(SHAPE[2] - 1)
    page.keyboard.press("p")
    assert numbers(page)["Axial"] == "13"
    page.keyboard.press("1")
    assert page.locator("tr.off").count() == 1
    page.keyboard.press("0")
    assert page.locator("tr.off").count() == 0
    page.keyboard.press("c")
    assert page.locator(".pane:visible").count() == 1 and page.locator('.pane[data-plane="coronal"]').is_visible()
    page.keyboard.press("?")
    assert page.get_by_role("heading", name="Keys and mouse").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("r")
    assert page.locator(".pane:visible").count() == 4


def test_the_wheel_scrolls_and_a_click_moves_the_other_planes(page):
    before = numbers(page)
    box = page.locator('.pane[data-plane="coronal"]').bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, 100)
    page.wait_for_timeout(100)
    scrolled = numbers(page)
    assert abs(int(scrolled["Coronal"]) - int(before["Coronal"])) == 1 and scrolled["Axial"] == before["Axial"]
    page.mouse.click(box["x"] + box["width"] * 0.55, box["y"] + box["height"] * 0.4)
    clicked = numbers(page)
    assert clicked["Coronal"] == scrolled["Coronal"] and clicked["Sagittal"] != scrolled["Sagittal"]
    page.mouse.dblclick(box["x"] + box["width"] * 0.55, box["y"] + box["height"] * 0.4)
    assert page.locator(".pane:visible").count() == 1 and page.locator('.pane[data-plane="coronal"]').is_visible()


def test_the_window_changes_the_picture(page):
    page.get_by_label("Window").select_option("Soft tissue")
    page.locator("h1").click()  # keys are the page's again
    grey = pixels(page).mean(axis=-1)
    assert ((grey > 115) & (grey < 140)).mean() > 0.05  # 40 HU is the middle of that window


def test_an_address_opens_at_its_slice(file, chromium):
    page = chromium.new_page(viewport={"width": 500, "height": 300})
    page.goto(f"{file.as_uri()}#coronal=7&axial=3")
    page.locator("html[data-ready]").wait_for(state="attached")
    assert (numbers(page)["Axial"], numbers(page)["Coronal"]) == ("3", "7")
    page.keyboard.press("ArrowUp")  # in the plane named last
    page.wait_for_url("**/study.html#*axial=4")
    page.evaluate("location.hash = '#sagittal=99'")
    page.locator(".active .label", has_text="Sagittal 39 / 39").wait_for()
    page.close()


def test_a_telephone_has_room_for_all_of_it(page):
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert all(label.is_visible() for label in page.locator(".label").all())
    assert page.get_by_text("Second", exact=True).is_visible()
    page.wait_for_timeout(300)
    assert painted(pixels(page), "#E69F00") > 5
    page.set_viewport_size({"width": 900, "height": 500})


def test_a_browser_that_cannot_draw_volumes_is_told_so(file, chromium):
    page = chromium.new_page()
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page.goto(file.as_uri())
    assert "WebGL 2 is off or missing" in page.locator("#message").inner_text()
    assert page.locator("tbody tr").count() == 4
    page.close()
