import pytest

from lesionbench.data.study_table import Line, read_study_table
from lesionbench.errors import UserError


def table(tmp_path, text):
    (tmp_path / "table.csv").write_text(text)
    return read_study_table(tmp_path / "table.csv", "dataset.table")


def test_a_line_says_where_a_study_lies_and_what_is_known_of_it(tmp_path):
    lines, names_files = table(
        tmp_path, "study,ct,mask,patient,category,series,age\na,a.nii,m.nii,p,sick,2,40\nb,b.nii\n"
    )
    assert names_files and lines == {
        "a": Line("a", "a.nii", "m.nii", "p", "sick", "2"),
        "b": Line("b", "b.nii"),
    }


def test_a_table_without_files_is_one_that_adds_to_patterns(tmp_path):
    assert table(tmp_path, "study,patient\na,p\n") == ({"a": Line("a", patient="p")}, False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ct,mask\na,b\n", "needs the column study.*its columns are: ct, mask"),
        ("", "its columns are: none"),
        ("study,pateint\na,p\n", "the column pateint means nothing here. Did you mean patient?"),
        ("study,ct,ct\na,b,c\n", "the column ct is there twice"),
        ("study,ct\na,b\na,c\n", "several lines are of a"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path, text, said):
    with pytest.raises(UserError, match=f"dataset.table: .*{said}"):
        table(tmp_path, text)
