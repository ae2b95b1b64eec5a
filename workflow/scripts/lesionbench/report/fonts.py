"""Fonts of this machine for text that the figures' own cannot draw, such as labels in Chinese."""

import logging
import unicodedata
from collections.abc import Iterable

from matplotlib.font_manager import FontProperties, findfont, findSystemFonts, fontManager, get_font
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

from lesionbench.words import first_few, listed

# Fonts that "have" every character as a box or a blank, and those that are pictures, which matplotlib cannot draw.
_NO_TEXT = ("last resort", "lastresort", "adobe blank", "adobeblank", "color")
_CJK = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "IDEOGRAPHIC", "FULLWIDTH", "HALFWIDTH", "BOPOMOFO")
_DRAWN_AS_NOTHING = ("Cc", "Cf", "Zl", "Zp", "Zs")  # of Unicode's categories: controls, formats, separators
_VARIATIONS = range(0xFE00, 0xFE10)  # selectors of another look of the character before them

logger = logging.getLogger(__name__)


def add_fonts(texts: Iterable[Text], figure: str) -> None:
    """Give each text that its own font cannot draw more fonts, of those installed, after its own.

    What no font has is drawn as boxes: a warning names `figure`, the words and a font to install.
    """
    lacking = {text: lack for text in texts if (lack := _lacking(text))}
    if not lacking:
        return
    families, left = _families(set().union(*lacking.values()))
    for text in lacking:
        text.set_fontfamily([*text.get_fontfamily(), *families])
    words = [line for text in lacking for line in text.get_text().splitlines() if left & set(line)]
    if words:
        logger.warning(
            "%s: no installed font has %s, so there are boxes in %s. Install %s, delete the figure and run again.",
            *(figure, first_few(sorted(left)), first_few(list(dict.fromkeys(words)), 3)),
            listed(fonts_to_install(left)),
        )


def fonts_to_install(characters: Iterable[str]) -> list[str]:
    """Return the names of fonts, of the free family Noto, that have these characters."""
    names = set()
    for character in characters:
        script = unicodedata.name(character, "").partition(" ")[0].partition("-")[0]
        if script in _CJK:
            names.add("Noto Sans CJK")
        else:
            symbol = not unicodedata.category(character).startswith(("L", "M"))
            names.add("Noto Emoji" if symbol else f"Noto Sans {script.title()}".strip())
    return sorted(names)


def _lacking(text: Text) -> set[str]:
    """Return the characters of a text that its own font does not have."""
    own = get_font(findfont(text.get_fontproperties()))
    return {
        character
        for character in set(text.get_text())
        if not own.get_char_index(ord(character))
        and unicodedata.category(character) not in _DRAWN_AS_NOTHING
        and ord(character) not in _VARIATIONS
    }


def _families(wanted: set[str]) -> tuple[list[str], set[str]]:
    """Return installed families that together have the characters, as far as any has them, and what is left over."""
    _find_new_fonts()
    fonts = _installed()
    chosen: list[str] = []
    while fonts and wanted:
        has = {name: {item for item in wanted if font.get_char_index(ord(item))} for name, font in fonts.items()}
        best = max(has, key=lambda name: len(has[name]))  # the first of several
        if not has[best]:
            break
        chosen.append(best)
        wanted = wanted - has[best]
    return chosen, wanted


def _installed() -> dict[str, FT2Font]:
    """Return the fonts of this machine by family: those without serifs first, then by name."""
    regular = {
        entry.name for entry in fontManager.ttflist if entry.style == "normal" and entry.weight in (400, "normal")
    }
    names = [name for name in regular if not any(part in name.lower() for part in _NO_TEXT)]
    return {
        name: get_font(findfont(FontProperties(family=[name]), fallback_to_default=False))
        for name in sorted(names, key=lambda name: ("Sans" not in name, name))
    }


def _find_new_fonts() -> None:
    """Let matplotlib know fonts that were installed after it wrote its list of them, which it keeps in a cache."""
    known = {entry.fname for entry in fontManager.ttflist}
    for path in sorted(set(findSystemFonts()) - known):
        try:
            fontManager.addfont(path)
        except (OSError, RuntimeError, NotImplementedError):  # damaged, or not scalable
            continue
