"""Look an annotated folder over: what is in it, and what is wrong with it.

Taught in chapter 9, and used on the book's own corpus. Nothing is changed.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, islice, pairwise
from pathlib import Path

from ner_tutorial.conll import ConllFile
from ner_tutorial.corpus_files import column_files, open_sentences, parquet_files
from ner_tutorial.labels import entity_spans
from ner_tutorial.lines import ConllError
from ner_tutorial.tagging import is_iob2

LONG_SENTENCE = 100  # words; most encoders take 512 tokens, and names split into several
SHOWN = 20  # words of a sentence or a name that a finding shows
PRIME = (1 << 61) - 1


@dataclass
class FileReport:
    """The counts of one file."""

    name: str
    sentences: int
    tokens: int
    entities: Counter
    outside: int
    without_entity: int
    longest: int
    under_six: int

    def lines(self) -> list[str]:
        total = self.entities.total()
        shares = ", ".join(f"{kind} {count} ({count / total:.0%})" for kind, count in sorted(self.entities.items()))
        return [
            f"{self.name}: {self.sentences} sentences, {self.tokens} words, {total} entities",
            f"  types: {shares or 'none'}",
            f"  O {self.outside / self.tokens:.1%} of words; {self.without_entity / self.sentences:.1%} of sentences without an entity",
            f"  words a sentence: mean {self.tokens / self.sentences:.1f}, longest {self.longest}, under six {self.under_six / self.sentences:.1%}",
        ]


@dataclass
class LintReport:
    """What ``lint_folder`` found. ``errors`` make a corpus wrong, ``warnings`` are worth a look."""

    files: list[FileReport] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What the reader guessed or left out, such as which column holds the words."""

    def __str__(self) -> str:
        parts = [line for report in self.files for line in report.lines()]
        parts += ["", *self.notes] if self.notes else []
        for title, findings in (("errors", self.errors), ("warnings", self.warnings)):
            parts += ["", f"{len(findings)} {title}", *(f"  {line}" for line in findings)]
        return "\n".join(parts)


def lint_folder(
    folder: str | Path,
    *,
    long_sentence: int = LONG_SENTENCE,
    at_most: int = 20,
    convert_iob1: bool = False,
    convert: bool = False,
    columns: str | Mapping[str, int] | None = None,
) -> LintReport:
    """Report on every file in a folder that ``load_corpus`` could read.

    Errors: files that cannot be read, files that are not IOB2, sentences that stand in two files.
    Warnings: sentences that occur twice in one file, sentences over ``long_sentence`` words, surface forms of two words
    or more that are annotated here and left out there, surface forms whose type varies after the same word.

    Args:
        folder: where the files lie.
        long_sentence: the number of words above which a sentence is reported.
        at_most: how many findings of one kind are listed; the rest are counted.
        convert_iob1, convert: what ``load_corpus`` would convert with them is no error here.
        columns: the word and label columns, where they are not found; see ``read_conll``.

    Raises:
        FileNotFoundError: there is no such folder, or no CoNLL or parquet file in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder at {folder}")
    paths = [*column_files(folder), *parquet_files(folder)]
    if not paths:
        raise FileNotFoundError(
            f"no CoNLL file in {folder} (looked for files such as train.conll, dev.txt or eng.testa, and for parquet)"
        )
    report = LintReport()
    reading = {"convert_iob1": convert_iob1, "convert": convert, "columns": columns}
    contents: dict[str, ConllFile] = {}
    for path in paths:
        name = str(path.relative_to(folder))
        try:
            content = _read(path, reading)
        except ValueError as error:
            report.errors.append(str(error))
            try:  # what another scheme than IOB2 hides is looked for all the same
                content = _read(path, {**reading, "convert": True})
            except ValueError:
                continue
        contents[name] = content
        report.notes += content.notes
    for name, content in contents.items():
        report.files.append(_count(name, content))
    places = _places(contents)
    _list(report.errors, _in_two_files(places), at_most)
    _list(report.warnings, _twice_in_one_file(contents, places), at_most)
    _list(report.warnings, _too_long(contents, long_sentence), at_most)
    _list(report.warnings, _inconsistent(contents), at_most)
    return report


def _read(path: Path, reading: dict) -> ConllFile:
    """A file as ``load_corpus`` reads it. The lines of a parquet file are its rows."""
    if path.suffix != ".parquet":
        reader = open_sentences(path, **reading)
        return ConllFile(list(reader), reader.scheme, reader.notes)
    import pyarrow.parquet
    from datasets import Dataset

    from ner_tutorial.parquet_rows import row_sentences

    rows = Dataset(pyarrow.parquet.read_table(path))
    sentences = [sentence for _, sentence in row_sentences(rows, str(path))]
    if not sentences:
        raise ConllError(path, None, "the file holds no sentence")
    started = sum(not is_iob2(sentence.ner_tags) for sentence in sentences)
    notes = (
        [f"{path.name}: {started} sentences have an entity that starts with I-, which loading converts"]
        if started
        else []
    )
    return ConllFile(sentences, "IOB2", notes)


def _list(target: list[str], findings: Iterator[str], at_most: int) -> None:
    target += islice(findings, at_most)
    rest = sum(1 for _ in findings)
    if rest:
        target.append(f"… and {rest} more like the last")


def _shown(words: Sequence[str]) -> str:
    return " ".join(words[:SHOWN])[:80]


def _count(name: str, content: ConllFile) -> FileReport:
    lengths = [len(s.tokens) for s in content.sentences]
    kinds: Counter = Counter()
    without = 0
    for sentence in content.sentences:
        spans = entity_spans(sentence.ner_tags)
        kinds.update(kind for kind, _, _ in spans)
        without += not spans
    return FileReport(
        name=name,
        sentences=len(lengths),
        tokens=sum(lengths),
        entities=kinds,
        outside=sum(s.ner_tags.count("O") for s in content.sentences),
        without_entity=without,
        longest=max(lengths),
        under_six=sum(n < 6 for n in lengths),
    )


def _places(contents: dict[str, ConllFile]) -> dict[tuple[str, ...], list[tuple[str, int]]]:
    """Where each sentence stands, of those that stand in more than one place."""
    times = Counter(hash(tuple(s.tokens)) for content in contents.values() for s in content.sentences)
    places = defaultdict(list)
    for name, content in contents.items():
        for sentence in content.sentences:
            words = tuple(sentence.tokens)
            if times[hash(words)] > 1:
                places[words].append((name, sentence.line))
    return places


def _in_two_files(places: dict[tuple[str, ...], list[tuple[str, int]]]) -> Iterator[str]:
    for words, at in places.items():
        if len({name for name, _ in at}) > 1:
            listed = ", ".join(f"{name}, line {line}" for name, line in at[:SHOWN]) + (" …" if len(at) > SHOWN else "")
            yield f"sentence in {listed}: {_shown(words)}"


def _twice_in_one_file(
    contents: dict[str, ConllFile], places: dict[tuple[str, ...], list[tuple[str, int]]]
) -> Iterator[str]:
    for words, at in places.items():
        lines = defaultdict(list)
        for name, line in at:
            lines[name].append(str(line))
        for name in contents:
            if len(lines[name]) > 1:
                listed = ", ".join(lines[name][:SHOWN]) + (" …" if len(lines[name]) > SHOWN else "")
                yield f"{name}: same sentence at lines {listed}: {_shown(words)}"


def _too_long(contents: dict[str, ConllFile], limit: int) -> Iterator[str]:
    for name, content in contents.items():
        for s in content.sentences:
            if len(s.tokens) > limit:
                yield f"{name}, line {s.line}: {len(s.tokens)} words; more than {limit} may not fit into the model in one piece"


def inconsistent_surfaces(contents: dict[str, ConllFile]) -> list[str]:
    """Surface forms whose annotation varies where their surroundings do not.

    Two kinds: a form of two words or more that is an entity in one place and wholly ``O`` in another; and a form that
    has different types between the same two neighbouring words.
    """
    return list(_inconsistent(contents))


def _inconsistent(contents: dict[str, ConllFile]) -> Iterator[str]:
    annotated: dict[tuple[str, ...], Counter] = defaultdict(Counter)
    contexts: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for name, content in contents.items():
        for sentence in content.sentences:
            words = sentence.tokens
            for kind, start, end in entity_spans(sentence.ner_tags):
                form = tuple(words[start:end])
                annotated[form][kind] += 1
                before = words[start - 1] if start else "<s>"
                after = words[end] if end < len(words) else "</s>"
                contexts[before, *form, after].setdefault(kind, f"{name}, line {sentence.line + start}")
    forms = _Forms(form for form in annotated if len(form) > 1)
    for name, content in contents.items():
        for sentence in content.sentences:
            for start, form in forms.outside(sentence.tokens, sentence.ner_tags):
                kinds = ", ".join(f"{kind} {n} times" for kind, n in annotated[form].items())
                yield f"{name}, line {sentence.line + start}: {_shown(form)!r} is O here, elsewhere {kinds}"
    for (before, *form, after), kinds in contexts.items():
        if len(kinds) > 1 and (before, after) != ("<s>", "</s>"):
            where = "; ".join(f"{kind} at {place}" for kind, place in sorted(kinds.items()))
            yield f"{_shown(form)!r} between {before!r} and {after!r}: {where}"


class _Forms:
    """Finds known forms in sentences, in time that hardly grows with the length of the forms.

    A stretch of words is looked up by a number that the stretch's end is computed from with one multiplication (Karp and
    Rabin, 1987); only stretches of a length that some form with the same first two words has are looked up.
    """

    def __init__(self, forms: Iterator[tuple[str, ...]]):
        self._numbers: dict[str, int] = {}
        self._powers = [1]
        self._known: dict[int, tuple[str, ...]] = {}
        lengths: dict[tuple[str, str], set[int]] = defaultdict(set)
        for form in forms:
            for word in form:
                self._numbers.setdefault(word, len(self._numbers) + 1)
            self._known[self._sums(form)[-1]] = form
            lengths[form[:2]].add(len(form))
        self._lengths = {pair: sorted(known) for pair, known in lengths.items()}

    def _sums(self, words: Sequence[str]) -> list[int]:
        """One number per start of ``words``, the empty one first."""
        base = 1_000_003
        while len(self._powers) <= len(words):
            self._powers.append(self._powers[-1] * base % PRIME)
        numbers = (self._numbers.get(word, 0) for word in words)
        return list(accumulate(numbers, lambda total, number: (total * base + number) % PRIME, initial=0))

    def outside(self, words: Sequence[str], tags: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
        """(start, form) of each known form whose words are all ``O`` in this sentence."""
        starts = [i for i, pair in enumerate(pairwise(words)) if pair in self._lengths]
        if not starts:
            return
        sums = self._sums(words)
        ends = [len(words)] * (len(words) + 1)  # where the stretch of O that a word belongs to ends
        for i in range(len(words) - 1, -1, -1):
            ends[i] = i if tags[i] != "O" else ends[i + 1]
        for start in starts:
            for length in self._lengths[words[start], words[start + 1]]:
                if start + length > ends[start]:
                    break
                number = (sums[start + length] - sums[start] * self._powers[length]) % PRIME
                form = self._known.get(number)
                if form is not None and len(form) == length:
                    yield start, form
