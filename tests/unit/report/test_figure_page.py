"""The page of a figure shows it with its title and caption, holds it once, and saves it."""

import re
from base64 import b64decode

from lesionbench.report.figure_page import figure_page

IMAGE = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 30"><rect width="40" height="30"/></svg>'
LABEL = '<b>"U-Net"</b> & more'


def test_the_page_holds_the_image_once_and_labels_are_text():
    page = figure_page(IMAGE, 400, "dice", f"Dice of {LABEL}", f"Dice of {LABEL}, a dot a study.")
    images = re.findall('base64,([^"]+)"', page)
    assert [b64decode(image) for image in images] == [IMAGE]
    assert "<b>" not in page and "Dice of &lt;b&gt;&quot;U-Net&quot;&lt;/b&gt; &amp; more, a dot" in page


def test_the_image_is_named_fits_the_page_and_is_saved(browse, tmp_path):
    path = tmp_path / "dice.html"
    path.write_text(figure_page(IMAGE, 900, "dice", "Dice by model", "A dot is a study."), encoding="utf-8")
    page = browse(["--disable-gpu"]).new_page(viewport={"width": 390, "height": 600})
    page.goto(path.as_uri())
    image = page.get_by_role("img", name="Dice by model")
    assert 300 < image.bounding_box()["width"] <= 390
    with page.expect_download() as saved:
        page.get_by_role("link", name="Download as SVG").click()
    assert saved.value.suggested_filename == "dice.svg" and saved.value.path().read_bytes() == IMAGE
    page.set_viewport_size({"width": 1400, "height": 600})
    assert image.bounding_box()["width"] == 900
