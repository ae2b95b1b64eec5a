"""What is in a page of the viewer."""

import base64
import gzip
import json
import re
from html import unescape

import nibabel as nib


def script(page, attributes):
    """The text of the first script with these attributes, None where there is none."""
    found = re.search(rf"<script [^>]*{attributes}>(.*?)</script>", page, re.DOTALL)
    return found and found[1]


def scene(page):
    return json.loads(script(page, 'id="scene"'))


def volume(text):
    return nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(text)))


def ct(page):
    return volume(script(page, 'id="ct"'))


def masks(page):
    """The volume of each contour, None where nothing is marked."""
    found = re.findall(r'<script [^>]*class="mask">(.*?)</script>', page)
    return [volume(text) if text else None for text in found]


def rows(page):
    """The cells of the table of contours as text."""
    body = re.search(r"<tbody>(.*?)</tbody>", page, re.DOTALL)[1]
    return [
        [
            " ".join(unescape(re.sub(r"<[^>]*>", "", cell)).split())
            for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)
        ]
        for row in re.findall(r"<tr>.*?</tr>", body, re.DOTALL)
    ]
