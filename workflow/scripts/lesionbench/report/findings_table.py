"""What the check of a data set found: as a table of the report, and as text for a terminal."""

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import zip_longest

import pandas as pd

from lesionbench.data.findings import ERROR, WARNING, Finding
from lesionbench.report.tables import Table
from lesionbench.words import counted

MOST = 20  # of one kind on a terminal
_HEADERS = {"study": "Study", "file": "File", "what": "What", "remedy": "What to do"}


def findings_table(findings: pd.DataFrame) -> Table:
    """Return the findings (severity, kind, study, file, what, remedy) as a table; its title says if there are none."""
    title = f"Findings: {counted(len(findings), 'warning')}" if len(findings) else "Findings: nothing looks wrong"
    return Table(title, findings, findings[list(_HEADERS)].rename(columns=_HEADERS), text_columns=len(_HEADERS))


def findings_text(findings: Sequence[Finding], width: int) -> str:
    """Return the findings in lines of `width` characters, errors first; of many of one kind, the first."""
    lines = []
    for severity in (ERROR, WARNING):
        some = [finding for finding in findings if finding.severity == severity]
        if some:
            lines += [counted(len(some), severity).capitalize(), *_rows(some, width), ""]
    return "\n".join(lines)


def _rows(findings: Sequence[Finding], width: int) -> Iterator[str]:
    kinds = Counter(finding.kind for finding in findings)
    shown: Counter[str] = Counter()
    name = min(max(len("Study"), *(len(finding.study) for finding in findings)), 24)
    what = max(20, (width - name - 6) * 3 // 5)
    widths = (name, what, max(20, width - name - what - 6))
    yield from _row(("STUDY", "WHAT", "WHAT TO DO"), widths)
    for finding in findings:
        shown[finding.kind] += 1
        if shown[finding.kind] <= MOST:
            yield from _row((finding.study or "–", f"{finding.file}\n{finding.what}".strip(), finding.remedy), widths)
        elif shown[finding.kind] == kinds[finding.kind]:
            more = kinds[finding.kind] - MOST
            yield from _row(("…", f"{more:,} more of this kind ({finding.kind})", "--json lists them"), widths)


def _row(cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    columns = [
        [part for line in cell.splitlines() for part in textwrap.wrap(line, width) or [""]]
        for cell, width in zip(cells, widths, strict=True)
    ]
    for parts in zip_longest(*columns, fillvalue=""):
        yield ("  " + "  ".join(part.ljust(width) for part, width in zip(parts, widths, strict=True))).rstrip()
