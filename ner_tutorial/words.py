"""From text to words: one way, for training, evaluation and the reading of text.

Taught in chapters 2 and 7. A data set holds words, and text does not: somebody has to cut it. A tokenizer that is left to
do so by itself cuts in another place than the data set, or gives a word other pieces than training showed the model. So
text is cut here, as the training words were, and the words are tokenised as training's words are.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from ner_tutorial.characters import kind_of, starts_character

RECORD = "ner_tutorial"
"""The entry of tokenizer_config.json under which the rule is saved with the tokenizer."""


@dataclass(frozen=True)
class WordRule:
    """How text is cut into words: at white space, and then as the fields say."""

    punctuation: str = "edges"
    """``every``: each punctuation mark is a word, as BERT's tokenizers have it. ``edges``: marks are split off, but for
    those of ``inside`` between two letters or digits, and a run of one mark is one word. ``none``: marks stay."""
    inside: str = ".-&_'\u2019"
    """With ``edges``, the marks that stay inside a word where a letter stands on either side."""
    inside_numbers: str = ".,:-/"
    """With ``edges``, the marks that stay between two digits."""
    endings: tuple[str, ...] = ("'s", "\u2019s")
    """With ``edges``, what is split off the end of a word all the same, with its apostrophe."""
    abbreviations: tuple[str, ...] = ()
    """With ``edges``, the words that keep their full stop, beside those like ``U.S.`` if full stops stay inside words."""
    characters: bool = True
    """Whether each character of a script that writes no spaces is a word. Han characters always are with ``every``."""
    letters: bool = False
    """Whether each character of any script is a word, digits too, as in some data sets of Chinese."""

    def __post_init__(self):
        if self.punctuation not in ("every", "edges", "none"):
            raise ValueError(f"punctuation is {self.punctuation!r}, and neither every, edges nor none")

    @classmethod
    def of(cls, tokenizer) -> "WordRule":
        """The rule that was saved with a tokenizer; without one, the default for its kind.

        Raises:
            ValueError: tokenizer_config.json holds a rule that cannot be read.
        """
        record = getattr(tokenizer, "init_kwargs", {}).get(RECORD)
        if record is None:
            return cls("every", characters=False) if _cuts_at_every_mark(tokenizer) else cls()
        try:
            lists = ("endings", "abbreviations")  # JSON knows no tuples
            return cls(**{name: tuple(v) if name in lists else v for name, v in dict(record["words"]).items()})
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(
                f"the entry {RECORD!r} of tokenizer_config.json is not one that this version can read ({error!r}); "
                "train the model again, or load it with the version that trained it"
            ) from error

    @classmethod
    def from_words(cls, sentences: Iterable[Sequence[str]], tokenizer) -> "WordRule":
        """The rule that cuts text as these sentences of a data set are cut, as far as they show it."""
        every = _cuts_at_every_mark(tokenizer)
        seen = _WordCounts(sentences)
        unspaced = seen.single + seen.joined
        style = {
            "characters": seen.single > seen.joined if unspaced else not every,
            "letters": bool(unspaced) and seen.longer * 100 < sum(seen.words.values()),
        }
        if every:
            return cls("every", **style)
        if seen.attached > seen.detached:
            return cls("none", **style)
        endings = tuple(sorted(seen.endings))
        return cls("edges", seen.kept(False), seen.kept(True), endings, seen.abbreviations(), **style)

    def record(self, tokenizer) -> None:
        """Note the rule in the tokenizer, so that ``save_pretrained`` saves it in tokenizer_config.json."""
        tokenizer.init_kwargs[RECORD] = {"words": asdict(self)}

    def cut(self, text: str) -> list[tuple[int, int]]:
        """The first character of each word of a text and the one past its last, in order.

        No word is empty, begins or ends with white space, or parts a letter from its accents.
        """
        words: list[tuple[int, int]] = []
        for match in _CHUNKS.finditer(text):
            start, end = match.span()
            if match[0].isascii() and match[0].isalnum() and not self.letters:
                words.append((start, end))  # most words, without a look at each character
            else:
                words += self._cut_chunk(text, start, end)
        return words

    def _cut_chunk(self, text: str, first: int, end: int) -> list[tuple[int, int]]:
        words, start = [], None  # the first character of the word that is open
        for at in range(first, end):
            space = kind_of(text[at]) == "space"
            if start is None:
                # A mark after white space belongs to that space.
                start = at if not space and starts_character(text, at) else None
            elif space or self._parts(text, start, at):
                words.append((start, at))
                start = None if space else at
        return [*words, (start, end)] if start is not None else words

    def _parts(self, text: str, start: int, at: int) -> bool:
        """True if a word that began at ``start`` ends before ``at``, where no white space stands."""
        if not starts_character(text, at):
            return False
        if self.letters:
            return True
        base = at - 1
        while base > start and not starts_character(text, base):
            base -= 1  # to the character that marks before ``at`` belong to
        left, right = kind_of(text[base]), kind_of(text[at])
        alone = ("han",) if self.punctuation == "every" and not self.characters else ("han", "other")
        if (self.characters or self.punctuation == "every") and (left in alone or right in alone):
            return True
        if self.punctuation == "none" or not {left, right} & {"punctuation", "symbol"}:
            return False
        if self.punctuation == "every":
            return "punctuation" in (left, right)
        if left == right:
            return left == "punctuation" and text[base] != text[at]
        return not self._stays(text, start, base, at)

    def _stays(self, text: str, start: int, base: int, at: int) -> bool:
        """True if the mark at ``base`` or at ``at`` is part of the word on both its sides."""
        mark = base if kind_of(text[base]) == "punctuation" else at
        before, after = text[mark - 1 : mark] if mark > start else "", text[mark + 1 : mark + 2]
        if text[mark] == "." and not (after and _in_word(after)) and self._keeps_stop(text, start, mark + 1):
            return mark == at
        rest = _ENDING.match(text, mark)
        if rest and rest[0].lower() in self.endings:
            return mark == base  # the apostrophe goes with what follows it
        if not (before and after) or not (_in_word(before) and _in_word(after)):
            return False
        return text[mark] in (self.inside_numbers if before.isdigit() and after.isdigit() else self.inside)

    def _keeps_stop(self, text: str, start: int, end: int) -> bool:
        """True if the word with the full stop that ends it is an abbreviation."""
        if end - start > 30:
            return False  # a look at each beginning of a very long word would take very long
        word = text[start:end]
        return word in self.abbreviations or ("." in self.inside and bool(_INITIALS.fullmatch(word)))


_CHUNKS = re.compile(r"\S+")
_INITIALS = re.compile(r"([^\W\d_]\.){2,}")
_ENDING = re.compile("['\u2019][^\\W\\d_]{1,3}(?!\\w)")


def _in_word(character: str) -> bool:
    return kind_of(character) in ("letter", "mark")


def joined(words: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """Words as somebody would have written them, and where each one stands: its first character and one past its last.

    There is a space between two words, but not before a closing mark, after an opening one, or between characters of the
    scripts without spaces.
    """
    text, places = "", []
    for word in words:
        close = text and word and (word[0] in ",.;:!?)]}%" or word.lower() in ("'s", "\u2019s") or text[-1] in "([{")
        unspaced = text and word and {kind_of(text[-1]), kind_of(word[0])} <= {"han", "other"}
        text += "" if not text or close or unspaced else " "
        places.append((len(text), len(text) + len(word)))
        text += word
    return text, places


class _WordCounts:
    """What a data set's words show about how it was cut."""

    def __init__(self, sentences: Iterable[Sequence[str]]):
        self.stopped: Counter[str] = Counter()  # words that end with a full stop
        # Of each mark, and whether digits stand on both sides: how often it is a word, and how often inside one.
        self.alone: Counter[tuple[str, bool]] = Counter()
        self.inside: Counter[tuple[str, bool]] = Counter()
        self.endings: set[str] = set()
        self.attached = self.detached = 0  # commas and full stops at the end of a word, and as a word
        self.single = self.joined = 0  # words of one character of the scripts without spaces, and of several
        self.longer = 0  # words of more than one character of any script
        self.words: Counter[str] = Counter()
        for words in sentences:
            self.words.update(words)
            for before, word, after in zip(words, words[1:], words[2:], strict=False):
                if len(word) == 1:
                    self._count_mark(self.alone, before[-1:], word, after[:1], 1)
        for word, count in self.words.items():
            self._count_word(word, count)

    @staticmethod
    def _count_mark(counts: Counter, before: str, mark: str, after: str, count: int) -> None:
        if before and after and kind_of(mark) == "punctuation" and _in_word(before) and _in_word(after):
            counts[mark, before.isdigit() and after.isdigit()] += count

    def _count_word(self, word: str, count: int) -> None:
        self.detached += count * (word in (",", "."))
        # An abbreviation ends with a full stop, too; a comma, or a longer word with one, shows that marks stay.
        self.attached += count * (len(word) > 1 and (word[-1] == "," or (word[-1] == "." and word[:-1].islower())))
        if word[-1:] == "." and word[-2:-1].isalpha():
            self.stopped[word] += count
        if _ENDING.fullmatch(word):
            self.endings.add(word.lower())
        for before, mark, after in zip(word, word[1:], word[2:], strict=False):
            self._count_mark(self.inside, before, mark, after, count)
        unspaced = sum(kind_of(character) in ("han", "other") for character in word)
        self.longer += count * any(starts_character(word, at) for at in range(1, len(word)))
        self.single += count * (unspaced == 1)
        self.joined += count * (unspaced > 1)

    def abbreviations(self, most: int = 300) -> tuple[str, ...]:
        """The most frequent words with a full stop of their own, unless they are as often seen without it."""
        known = [word for word, count in self.stopped.most_common(most) if count > self.words[word[:-1]]]
        return tuple(sorted(known))

    def kept(self, between_digits: bool) -> str:
        """The marks that are part of words. One that is ten times more often a word has been split off."""
        return "".join(
            sorted(
                mark
                for (mark, digits), count in self.inside.items()
                if digits == between_digits and count * 10 > self.alone[mark, digits]
            )
        )


def _cuts_at_every_mark(tokenizer) -> bool:
    """True for the tokenizers of BERT's kind: their pieces do not depend on which punctuation is a word of its own."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return "BertPreTokenizer" in _state(getattr(backend, "pre_tokenizer", None))


def _state(part) -> str:
    """A tokenizer's part as the JSON text that tokenizer.json holds of it."""
    return "" if part is None else bytes(part.__getstate__()).decode()


def put_space_before_words(tokenizer) -> None:
    """Have a tokenizer give a word that stands by itself the pieces that it gets after a space in running text.

    Byte-level tokenizers (GPT-2, RoBERTa, ModernBERT) and SentencePiece's count the space as part of the word's first
    piece. Where the tokenizer is set to add none, a list of words would give pieces that are seen inside words only.
    Loading with ``add_prefix_space=True`` sets some classes of Transformers and is ignored by others, so the
    pre-tokenizer itself is set. Tokenizers of another kind are left as they are.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    state = _state(getattr(backend, "pre_tokenizer", None))
    if '"ByteLevel"' not in state and '"Metaspace"' not in state:
        return
    spec = json.loads(state)
    changed = _with_space(spec)
    if changed is None:
        _prepend_space(backend)  # the space has to be there before the text is split
    elif changed != spec:
        backend.pre_tokenizer = _rebuilt(changed)
    if '"ByteLevel"' in state and "add_prefix_space" in getattr(tokenizer, "init_kwargs", {}):
        tokenizer.init_kwargs["add_prefix_space"] = True  # what the class sets when it is loaded again
    if hasattr(tokenizer, "add_prefix_space"):
        tokenizer.add_prefix_space = True


def _with_space(spec: dict) -> dict | None:
    """The pre-tokenizer's settings with a space before each word; ``None`` if another part splits before it comes."""
    if spec["type"] == "ByteLevel":
        return {**spec, "add_prefix_space": True}
    if spec["type"] == "Metaspace":
        return {**spec, "prepend_scheme": "always"} if spec.get("prepend_scheme") == "never" else spec
    parts = spec.get("pretokenizers", [])
    before = [part["type"] for part in parts]
    places = [number for number, type_ in enumerate(before) if type_ in ("ByteLevel", "Metaspace")]
    changed = [_with_space(part) if number in places else part for number, part in enumerate(parts)]
    # White space alone parts words from words; whatever else comes first would give a space to parts of words.
    if changed == parts or set(before[: places[0]]) <= {"WhitespaceSplit"}:
        return {**spec, "pretokenizers": changed}
    return None


def _rebuilt(spec: dict):
    from tokenizers import pre_tokenizers

    part = pre_tokenizers.Sequence([])
    part.__setstate__(json.dumps(spec).encode())
    return part


def _prepend_space(backend) -> None:
    from tokenizers import normalizers

    prepend = normalizers.Prepend(" ")
    if _state(prepend) not in _state(backend.normalizer):
        backend.normalizer = normalizers.Sequence([part for part in (backend.normalizer, prepend) if part is not None])
