import subprocess
import sys

import pytest
from openpyxl import Workbook

from lesionbench.data.listing import read_listing
from lesionbench.environment import SCRIPTS
from lesionbench.errors import UserError


def test_a_csv_from_a_spreadsheet_is_read_as_text(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes("\ufeffStudy, CT \r\n001,a.nii\r\n,\r\nNA\r\n".encode())
    assert read_listing(path, "dataset.table") == (["study", "ct"], [{"study": "001", "ct": "a.nii"}, {"study": "NA"}])


def test_a_workbook_is_read_as_it_is_shown(tmp_path):
    book = Workbook()
    for row in (["study", "patient", "mask"], [7, 3.0, None], ["a", "p1", "m.nii"], [None, None, None]):
        book.active.append(row)
    book.save(tmp_path / "table.xlsx")
    header, lines = read_listing(tmp_path / "table.xlsx", "dataset.table")
    assert header == ["study", "patient", "mask"]
    assert lines == [{"study": "7", "patient": "3", "mask": ""}, {"study": "a", "patient": "p1", "mask": "m.nii"}]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.csv", None, "dataset.table: there is no file"),
        ("latin.csv", "étude\n".encode("latin-1"), "cannot be read as CSV in UTF-8"),
        ("text.xlsx", b"study\n", "cannot be read as a workbook"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, content, said):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=said):
        read_listing(tmp_path / name, "dataset.table")


def test_a_csv_loads_nothing_for_workbooks(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("study\na\n")
    code = f"import sys; from lesionbench.data.listing import read_listing; read_listing({str(table)!r}, '')"
    code += "; print('openpyxl' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
