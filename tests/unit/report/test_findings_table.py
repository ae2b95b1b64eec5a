import pandas as pd

from lesionbench.data.findings import Finding
from lesionbench.data.inventory import findings_frame
from lesionbench.report.findings_table import findings_table, findings_text

ERROR = Finding("error", "file", "study_0002", "masks/b.nii.gz", "it is truncated", "Copy it again")
WARNING = Finding("warning", "padding", "study_0001", "studies/a.nii.gz", "20.0% are padding", "Nothing")


def test_the_table_shows_every_finding_in_words():
    table = findings_table(findings_frame([WARNING]))
    assert table.title == "Findings: 1 warning"
    assert table.shown.to_numpy().tolist() == [["study_0001", "studies/a.nii.gz", "20.0% are padding", "Nothing"]]
    assert list(table.data) == ["severity", "kind", "study", "file", "what", "remedy"]


def test_a_table_without_findings_says_so():
    table = findings_table(findings_frame([]))
    assert table.title == "Findings: nothing looks wrong" and table.shown.empty
    assert isinstance(table.data, pd.DataFrame)


def test_on_a_terminal_errors_come_first_and_no_line_is_too_long():
    text = findings_text([ERROR, WARNING], 60)
    assert text.index("1 error") < text.index("it is truncated") < text.index("1 warning") < text.index("padding")
    assert "masks/b.nii.gz" in text and "Copy it again" in text
    assert max(map(len, text.splitlines())) <= 60
    assert "error" not in findings_text([WARNING], 60)


def test_of_many_findings_of_a_kind_the_first_are_shown_and_the_rest_counted():
    many = [Finding("warning", "padding", f"study_{n:04d}", "", "padding", "Nothing") for n in range(1110)]
    text = findings_text([*many, Finding("warning", "sheared", "x", "", "sheared", "Resample")], 100)
    assert "study_0019" in text and "study_0020" not in text and "1,090 more of this kind (padding)" in text
    assert "sheared" in text
