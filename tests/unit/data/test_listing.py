import subprocess
import sys
import zipfile

import pytest
from openpyxl import Workbook

from lesionbench.data.listing import read_listing
from lesionbench.environment import SCRIPTS
from lesionbench.errors import UserError


def test_a_csv_from_a_spreadsheet_is_read_as_text(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes("\ufeffStudy, CT \r\n001,a.nii\r\n,\r\nNA\r\n".encode())
    assert read_listing(path, "dataset.table", ["study"]) == (
        ["study", "ct"],
        [{"study": "001", "ct": "a.nii"}, {"study": "NA"}],
    )


def test_a_workbook_is_read_as_it_is_shown(tmp_path):
    book = Workbook()
    for row in (["study", "patient", "mask"], [7, 3.0, None], ["a", "p1", "m.nii"], [None, None, None]):
        book.active.append(row)
    book.save(tmp_path / "table.xlsx")
    header, lines = read_listing(tmp_path / "table.xlsx", "dataset.table", ["study"])
    assert header == ["study", "patient", "mask"]
    assert lines == [{"study": "7", "patient": "3", "mask": ""}, {"study": "a", "patient": "p1", "mask": "m.nii"}]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("title", ["", "Studies of the ward, 2020; Müller\n\n"])
def test_a_csv_of_any_spreadsheet_is_read(tmp_path, encoding, newline, separator, title):
    lines = [["Study", "Subset", "Note"], ["001", "test", "Prüfung"], ["NA", "train", '"a, b; c"']]
    text = title + "\n".join(separator.join(line) for line in lines) + "\n"
    (tmp_path / "t.csv").write_bytes(text.replace("\n", newline).encode(encoding))
    header, rows = read_listing(tmp_path / "t.csv", "split.file", ["study", "subset"])
    assert header == ["study", "subset", "note"]
    assert [list(row.values()) for row in rows] == [["001", "test", "Prüfung"], ["NA", "train", "a, b; c"]]


def test_a_workbook_may_have_a_title(tmp_path):
    book = Workbook()
    for row in (["Studies", None], [None, None], ["study", "mask"], ["a", "m.nii"]):
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    assert read_listing(tmp_path / "t.xlsx", "", ["study"]) == (["study", "mask"], [{"study": "a", "mask": "m.nii"}])


def test_without_the_columns_that_are_needed_the_first_line_is_the_header(tmp_path):
    (tmp_path / "t.csv").write_text("name,part\na,test\n")
    assert read_listing(tmp_path / "t.csv", "", ["study"])[0] == ["name", "part"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.csv", None, "dataset.table: there is no file"),
        ("latin.csv", "étude\n".encode("latin-1"), "cannot be read as CSV in UTF-8"),
        ("names.csv", "study\nétude\n".encode("latin-1"), "cannot be read as CSV in UTF-8"),
        ("long.csv", b"study,dice\na,0,5\n", "line of a has more cells than the header, 3 for 2"),
        ("text.xlsx", b"study\n", "cannot be read as a workbook"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, content, said):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=said):
        read_listing(tmp_path / name, "dataset.table", ["study"])


def test_a_csv_loads_nothing_for_workbooks(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("study\na\n")
    code = f"import sys; from lesionbench.data.listing import read_listing; read_listing({str(table)!r}, '', ['study'])"
    code += "; print('openpyxl' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def spoilt(path, before, after):
    """Write a workbook whose sheet says something else in one place."""
    book = Workbook()
    book.active.append(["study", "subset"])
    book.active.append(["a", "test"])
    book.save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content.replace(before, after) if name.endswith("sheet1.xml") else content)
    return path


END = b"</sheetData>"
CELL = b'<row r="%s"><c r="%s" t="inlineStr"><is><t>%s</t></is></c></row></sheetData>'


def test_a_cell_at_the_far_end_of_a_sheet_is_one_cell(tmp_path):
    path = spoilt(tmp_path / "t.xlsx", END, CELL % (b"1048576", b"XFD1048576", b"x"))
    assert [line["study"] for line in read_listing(path, "", ["study"])[1]] == ["a", ""]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (END, CELL % (b"2", b"ZZZZZZ2", b"x"), "a cell at ZZZZZZ2, where no sheet has one"),
        (END, CELL % (b"99999999999", b"A99999999999", b"x"), "a cell at 99999999999"),
        (b"<sheetData>", b"<sheetData><row>", "mismatched tag"),
        (END, b'<row r="3"><c r="A3" t="s"><v>99999</v></c></row></sheetData>', "list index out of range"),
    ],
)
def test_a_workbook_that_lies_is_refused(tmp_path, before, after, said):
    path = spoilt(tmp_path / "t.xlsx", before, after)
    with pytest.raises(UserError, match=rf"t\.xlsx cannot be read as a workbook \(.*{said}"):
        read_listing(path, "split.file", ["study"])


def test_a_workbook_that_is_huge_when_unpacked_is_refused(tmp_path):
    path = tmp_path / "t.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book, book.open("xl/worksheets/sheet1.xml", "w") as sheet:
        for _ in range(257):
            sheet.write(bytes(2**20))
    with pytest.raises(UserError, match="it claims 269,484,032 bytes, unpacked"):
        read_listing(tmp_path / "t.xlsx", "split.file", ["study"])
