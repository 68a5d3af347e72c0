"""What kind a character is, and where one that a reader sees ends.

Used where text is cut into words (``words``), so that no name loses its accent.
"""

import unicodedata
from functools import cache

# Scripts that put no space between words: Han, kana, Bopomofo, Thai, Lao, Myanmar, Khmer. First and last character.
HAN = ((0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF))
OTHERS = ((0x0E01, 0x0E3A), (0x0E40, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17DD), (0x3041, 0x312F), (0x31F0, 0x31FF))
JOINER = "\u200d"


@cache
def kind_of(character: str) -> str:
    """``space``, ``mark`` (continues the character before it), ``punctuation``, ``symbol``, ``han``, ``other`` (of the
    scripts without spaces) or ``letter`` (everything else)."""
    code, category = ord(character), unicodedata.category(character)
    if character.isspace() or category in ("Zs", "Zl", "Zp", "Cc") or character in "\u200b\ufeff":
        return "space"  # with the control characters and the spaces of no width
    # Combining marks; the joiners; Thai and Lao AM, halfwidth kana's voice marks, skin tones and tags.
    if category in ("Mn", "Mc", "Me") or character in "\u200c\u200d\u0e33\u0eb3\uff9e\uff9f":
        return "mark"
    if 0x1F3FB <= code <= 0x1F3FF or 0xE0020 <= code <= 0xE007F:
        return "mark"
    if category[0] == "P" or (category[0] == "S" and code < 128):
        return "punctuation"
    if category[0] == "S":
        return "symbol"
    if any(first <= code <= last for first, last in HAN):
        return "han"
    return "other" if any(first <= code <= last for first, last in OTHERS) else "letter"


def starts_character(text: str, at: int) -> bool:
    """True if a character that a reader sees begins at ``at``: a cut there parts no accent and no emoji.

    A reading of Unicode's grapheme clusters (UAX 29) by categories: marks belong to what stands before them, and a joiner
    ties what stands after it.
    """
    if at <= 0 or at >= len(text):
        return True
    here, before = kind_of(text[at]), text[at - 1]
    if here == "mark":
        return False
    return not (before == JOINER and here == "symbol") and not (_is_flag(before) and _is_flag(text[at]))


def _is_flag(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"  # two of these letters make a flag
