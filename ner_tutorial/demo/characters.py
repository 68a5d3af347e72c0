"""What a tokenizer of BERT's kind, and the rule that cuts text into words, do with every character of Unicode.

Taught nowhere: plumbing. A browser's tables of Unicode are newer than Python's, and those of the tokenizer are older, so
the page "Try it" asks none of its own: it gets this table, made by asking ours.
"""

import sys
import unicodedata
from collections.abc import Iterable

from ner_tutorial.characters import kind_of

# All code points that a text can hold: halves of UTF-16 pairs are none.
CODES = [*range(0xD800), *range(0xE000, sys.maxunicode + 1)]
UNICODE = unicodedata.unidata_version
SEPARATOR = "#@#"  # no character becomes this


def ranges(codes: Iterable[int]) -> str:
    """Ascending numbers as text: ``[65, 66, 67, 90]`` is ``"41-43 5a"``, hexadecimal, both ends included."""
    spans: list[list[int]] = []
    for code in codes:
        if spans and code == spans[-1][1] + 1:
            spans[-1][1] = code
        else:
            spans.append([code, code])
    return " ".join(f"{first:x}" if first == last else f"{first:x}-{last:x}" for first, last in spans)


def kinds() -> dict[str, str]:
    """The ranges of each kind of character that ``WordRule`` knows, but for letters."""
    found: dict[str, list[int]] = {}
    for code in CODES:
        found.setdefault(kind_of.__wrapped__(chr(code)), []).append(code)  # a million entries would stay in its cache
    return {kind: ranges(codes) for kind, codes in found.items() if kind != "letter"}


def normalization(normalizer) -> dict:
    """What a normalizer of the library ``tokenizers`` makes of each character by itself.

    Returns:
        ``lower`` and ``decompose``: whether the usual case is the character in small letters, or its parts (NFD) without
        those that are dropped. Ranges: ``drop`` (nothing is left), ``space``, ``keep`` (itself, unlike the usual case),
        ``alone`` (the usual case, with a space on both sides). ``other``: what the rest become, by character.
    """
    answers = (
        normalizer.normalize_str(SEPARATOR.join(map(chr, CODES))).split(SEPARATOR) if normalizer else map(chr, CODES)
    )
    became = dict(zip(CODES, answers, strict=True))
    lower, decompose = became[ord("A")] == "a", became[ord("é")] == "e"
    drop = {code for code, answer in became.items() if not answer}

    def usual(character: str) -> str:
        parts = unicodedata.normalize("NFD", character) if decompose else character
        parts = [part for part in parts if ord(part) not in drop]
        return "".join(part.lower() if lower else part for part in parts)

    table: dict[str, list[int]] = {"drop": sorted(drop), "space": [], "keep": [], "alone": []}
    other = {}
    for code, answer in became.items():
        character = chr(code)
        if not answer:
            continue
        if answer == " ":
            table["space"].append(code)
        elif unicodedata.category(character) == "Cn" and answer == character:
            table["keep"].append(code)  # a browser may know it already
        elif answer == usual(character):
            continue
        elif answer == f" {usual(character)} ":
            table["alone"].append(code)
        elif answer == character:
            table["keep"].append(code)
        else:
            other[character] = answer
    return {
        "lower": lower,
        "decompose": decompose,
        **{name: ranges(codes) for name, codes in table.items()},
        "other": other,
    }


def cuts(pre_tokenizer) -> dict[str, str]:
    """Where a pre-tokenizer cuts a word: ranges of characters that it drops (``blank``), or makes a piece (``mark``)."""
    text = "a" + "a".join(map(chr, CODES)) + "a"
    single = {
        start for _, (start, end) in pre_tokenizer.pre_tokenize_str(text) if end == start + 1 and text[start] != "a"
    }
    covered = bytearray(len(text))
    for _, (start, end) in pre_tokenizer.pre_tokenize_str(text):
        covered[start:end] = b"\1" * (end - start)
    # The character number i is at 2 i + 1.
    places = enumerate(CODES)
    marks, blanks = [], []
    for number, code in places:
        if not covered[2 * number + 1]:
            blanks.append(code)
        elif 2 * number + 1 in single:
            marks.append(code)
    return {"blank": ranges(blanks), "mark": ranges(marks)}


def table(backend) -> dict:
    """All three tables for a tokenizer's ``backend_tokenizer``, ready for JSON."""
    return {"kinds": kinds(), "normal": normalization(backend.normalizer), "cuts": cuts(backend.pre_tokenizer)}
