"""A table for machines (csv, full precision) and for readers (md, tex, html, rounded)."""

import html
import math
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

import pandas as pd

from lesionbench.data.frames import write_frame
from lesionbench.files import atomic

UNDEFINED = "–"

_TEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{character: f"{{{character}}}" for character in "[]*"},  # of which \\ would make its arguments
    "\\": r"\textbackslash{}",
    "`": r"\textasciigrave{}",
    "|": r"\textbar{}",
    '"': r"\texttt{\char34}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"${math}$" for character, math in {"<": "<", ">": ">", "−": "-", "×": r"\times"}.items()},
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "³": "$^3$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "–": "--",
    "\u00a0": "~",
    "\0": "{}",
}
_TEX_KNOWS = "‘’“”„…•€°±µ·™"  # beyond Latin letters, of what pdflatex has without further packages
_TEX_LIGATURES = re.compile("(?<=[-'?!])(?=[-'`])")  # as -- for a dash
# Of Markdown: what a backslash makes text in every dialect; what takes a character reference; what opens a block.
_MARKUP = re.compile(r"[\\`*\[\]|]|(?<![^\W_])_|_(?![^\W_])")
_HTML_OR_MATHS = re.compile(r"[$~]|<(?=[A-Za-z/!?])|&(?=#?\w+;)")
_BLOCK = re.compile(r"^([#>+-]|\d+[.)])(?=\s)")
STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;margin:1.5rem;color:#222}table{border-collapse:collapse;"
    "border-block:2px solid #222;font-variant-numeric:tabular-nums}caption{text-align:left;font-weight:600;"
    "padding-bottom:.5rem}th,td{padding:.3rem .4rem;text-align:right;vertical-align:bottom}td{white-space:nowrap}"
    "td.text{white-space:normal}.scroll{overflow-x:auto}"
    "thead{border-bottom:1px solid #222}.text{text-align:left}p{max-width:46rem;font-size:.9rem;margin:.5rem 0}"
    "@media(max-width:70rem){body{margin:1rem;font-size:13px}th,td{padding:.25rem .3rem}}"
    "@media(max-width:45rem){body{font-size:12px}th,td{padding:.2rem .13rem}}"
)
PROSE = "table{max-width:72rem}td{white-space:normal;vertical-align:top;border-top:1px solid #ddd}"


@dataclass(frozen=True)
class Table:
    """A title, the data at full precision, the same rows as text with readable headers, and notes for the foot.

    The first `text_columns` columns of `shown` are words, the others numbers, which are aligned right. `prose`: cells
    are sentences, which are broken over lines, and a table may go over pages.
    """

    title: str
    data: pd.DataFrame
    shown: pd.DataFrame
    notes: tuple[str, ...] = ()
    text_columns: int = 1
    prose: bool = False


def format_number(value: float, digits: int = 3, signed: bool = False) -> str:
    """Return a number as text with `digits` decimals and a true minus sign; NaN and None as a dash."""
    if value is None or math.isnan(value):
        return UNDEFINED
    text = f"{value:{'+' if signed else ''},.{digits}f}"
    zero = float(text.replace(",", "")) == 0
    return (text.lstrip("+-") if zero else text).replace("-", "−")


def format_interval(low: float, high: float, digits: int = 3, signed: bool = False) -> str:
    """Return "low–high", with signs "low to high", or a dash where there is no interval."""
    if math.isnan(low) or math.isnan(high):
        return UNDEFINED
    return (" to " if signed else "–").join(format_number(end, digits, signed) for end in (low, high))


def format_p(p: float) -> str:
    """Return a p value with three decimals, or that it is below what they can show."""
    return "< 0.001" if p < 0.001 else format_number(p)


def write_table(table: Table, paths: Iterable[str | Path]) -> None:
    """Write a table to each path, in the format that its suffix names: .csv, .md, .tex or .html."""
    for path in map(Path, paths):
        if path.suffix == ".csv":
            write_frame(table.data, path)
            continue
        with atomic(path) as temporary:
            temporary.write_text(_WRITERS[path.suffix](table, path.stem), encoding="utf-8")


def _markdown(table: Table, _: str) -> str:
    def pad(cell: str, column: int, fill: str = " ") -> str:
        return cell.ljust(widths[column], fill) if column < table.text_columns else cell.rjust(widths[column], fill)

    cells = [[_escape_markdown(cell) for cell in row] for row in (table.shown.columns, *table.shown.to_numpy())]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    ruler = [pad(":" if column < table.text_columns else "-:", column, "-") for column in range(len(widths))]
    header, *body = [[pad(cell, column) for column, cell in enumerate(row)] for row in cells]
    rows = [f"| {' | '.join(row)} |" for row in (header, ruler, *body)]
    notes = [
        _BLOCK.sub(lambda found: f"&#{ord(found[1][0])};{found[1][1:]}", _escape_markdown(note)) for note in table.notes
    ]
    return "\n\n".join([f"**{_escape_markdown(table.title)}**", "\n".join(rows), *notes]) + "\n"


def _latex(table: Table, name: str) -> str:
    if table.prose:
        return _latex_prose(table, name)
    columns = list(table.shown.columns)
    layout = "l" * table.text_columns + "r" * (len(columns) - table.text_columns)
    # Headers broken over lines keep the columns as narrow as their numbers, and so the whole table legible.
    broken = [r" \\ ".join(map(_escape_tex, textwrap.wrap(name, 9, break_long_words=False))) for name in columns]
    header = [
        rf"\begin{{tabular}}[b]{{@{{}}{side}@{{}}}}{name}\end{{tabular}}"
        for side, name in zip(layout, broken, strict=True)
    ]
    body = [[_escape_tex(cell) for cell in cells] for cells in table.shown.to_numpy()]
    lines = [
        r"% needs \usepackage[utf8]{inputenc}, \usepackage{booktabs} and \usepackage{graphicx}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_escape_tex(table.title)}}}",
        rf"\label{{tab:{name}}}",
        r"\smallskip\footnotesize\setlength{\tabcolsep}{3pt}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{layout}}}",
        r"\toprule",
        " & ".join(header) + r" \\",
        r"\midrule",
        *(" & ".join(cells) + r" \\" for cells in body),
        r"\bottomrule",
        r"\end{tabular}}",
        *(rf"\par\smallskip\parbox{{\linewidth}}{{{_escape_tex(note)}}}" for note in table.notes),
        r"\end{table}",
    ]
    return "\n".join([*_tex_needs("".join(lines)), *lines]) + "\n"


def _latex_prose(table: Table, name: str) -> str:
    """Return a table of sentences: columns as wide as their longest cells are beside each other, over several pages."""
    cells = [list(table.shown.columns), *table.shown.to_numpy().tolist()]
    widths = [min(max(len(str(cell)) for cell in column), 60) for column in zip(*cells, strict=True)]
    layout = "".join(rf"p{{{0.9 * width / sum(widths):.3f}\linewidth}}" for width in widths)
    header, *body = [" & ".join(map(_escape_tex, row)) + r" \\" for row in cells]
    lines = [
        r"% needs \usepackage[utf8]{inputenc}, \usepackage{booktabs} and \usepackage{longtable}",
        r"{\footnotesize\raggedright\setlength{\tabcolsep}{3pt}",
        rf"\begin{{longtable}}{{{layout}}}",
        rf"\caption{{{_escape_tex(table.title)}}}\label{{tab:{name}}} \\",
        r"\toprule",
        header,
        r"\midrule",
        r"\endhead",
        *body,
        r"\bottomrule",
        r"\end{longtable}",
        *(rf"\par {_escape_tex(note)}" for note in table.notes),
        "}",
    ]
    return "\n".join([*_tex_needs("".join(lines)), *lines]) + "\n"


def _tex_needs(text: str) -> list[str]:
    """Return a comment on what letters beyond ASCII need, if there are any; TeX drops or refuses what it cannot set."""
    letters = {letter for letter in text if not letter.isascii() and letter not in _TEX_KNOWS}
    foreign = sorted(letter for letter in letters if letter > "\u017f")  # after Latin Extended-A
    if foreign:
        return [
            f"% {' '.join(foreign)}: compile with lualatex or xelatex, \\usepackage{{fontspec}} and \\setmainfont of a "
            "font that has them"
        ]
    return [r"% needs \usepackage[T1]{fontenc}"] if letters else []


def _web_page(table: Table, _: str) -> str:
    def row(cells: Sequence[object], tag: str) -> str:
        scope = ' scope="col"' if tag == "th" else ""
        kinds = [scope + (' class="text"' if position < table.text_columns else "") for position in range(len(cells))]
        return "".join(
            f"<{tag}{kind}>{html.escape(str(cell))}</{tag}>" for kind, cell in zip(kinds, cells, strict=True)
        )

    title = html.escape(table.title)
    body = "\n".join(f"<tr>{row(cells, 'td')}</tr>" for cells in table.shown.to_numpy().tolist())
    notes = "\n".join(f"<p>{html.escape(note)}</p>" for note in table.notes)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f"<style>{STYLE}{PROSE if table.prose else ''}</style>\n</head>\n<body>\n"
        # What is too wide can be scrolled, by keys too.
        f'<div class="scroll" role="region" aria-label="{title}" tabindex="0">\n<table>\n<caption>{title}</caption>\n'
        f"<thead><tr>{row(list(table.shown.columns), 'th')}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>\n"
        f"{notes}\n</body>\n</html>\n"
    )


def _escape_markdown(text: object) -> str:
    plain = _MARKUP.sub(r"\\\g<0>", _in_one_line(text))
    return _HTML_OR_MATHS.sub(lambda found: f"&#{ord(found[0])};", plain)


def _escape_tex(text: object) -> str:
    # A letter and its accent as one character: TeX knows no combining ones.
    plain = _TEX_LIGATURES.sub("\0", normalize("NFC", _in_one_line(text)))
    return plain.translate({ord(character): tex for character, tex in _TEX.items()})


def _in_one_line(text: object) -> str:
    return " ".join(str(text).splitlines())


_WRITERS = {".md": _markdown, ".tex": _latex, ".html": _web_page}
