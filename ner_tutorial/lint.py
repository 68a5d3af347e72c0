"""Look a CoNLL folder over: what is in it, and what is wrong with it.

Used on the book's own corpus. Nothing is changed.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from ner_tutorial.conll import ConllError, ConllFile, read_conll
from ner_tutorial.labels import entity_spans

CONLL_NAMES = ("*.conll", "*.txt", "*.iob2", "*.tsv", "eng.*")
LONG_SENTENCE = 100  # words; most encoders take 512 tokens, and names split into several


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

    def __str__(self) -> str:
        parts = [line for report in self.files for line in report.lines()]
        for title, found in (("errors", self.errors), ("warnings", self.warnings)):
            parts += ["", f"{len(found)} {title}", *(f"  {line}" for line in found)]
        return "\n".join(parts)


def conll_files(folder: Path) -> list[Path]:
    """The CoNLL files in ``folder``: by suffix, or by the original distribution's names.

    A ``.txt`` file counts only if some line has two or four columns of which the last is an NER label.
    """
    found = {path for pattern in CONLL_NAMES for path in folder.glob(pattern) if path.is_file()}
    return sorted(path for path in found if path.suffix != ".txt" or _looks_like_conll(path))


def _looks_like_conll(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(20_000).decode("utf-8", errors="replace").splitlines()
    rows = [line.split() for line in head if line.strip()]
    return any(len(row) in (2, 4) and (row[-1] == "O" or row[-1][:2] in ("B-", "I-")) for row in rows)


def lint_folder(folder: str | Path, *, long_sentence: int = LONG_SENTENCE, at_most: int = 20) -> LintReport:
    """Report on every CoNLL file in a folder.

    Errors: files that cannot be read, entities that start with I-, sentences that stand in two files.
    Warnings: sentences that occur twice in one file, sentences over ``long_sentence`` words, surface forms of two words
    or more that are annotated here and left out there, surface forms whose type varies after the same word.

    Args:
        folder: where the files lie.
        long_sentence: the number of words above which a sentence is reported.
        at_most: how many findings of one kind are listed; the rest are counted.

    Raises:
        FileNotFoundError: there is no such folder, or no CoNLL file in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder at {folder}")
    paths = conll_files(folder)
    if not paths:
        raise FileNotFoundError(f"no CoNLL file in {folder} (looked for {', '.join(CONLL_NAMES)})")
    report = LintReport()
    contents: dict[str, ConllFile] = {}
    for path in paths:
        try:
            contents[path.name] = read_conll(path, convert_iob1=True)
        except ConllError as error:
            report.errors.append(str(error))
            continue
        if contents[path.name].notes:
            # Something was converted, which hides what is wrong: read again as it stands, for the message with its line.
            try:
                read_conll(path)
            except ConllError as error:
                report.errors.append(str(error))
    for name, content in contents.items():
        report.files.append(_count(name, content))
    _list(report.errors, _in_two_files(contents), at_most)
    _list(report.warnings, _twice_in_one_file(contents), at_most)
    _list(report.warnings, _too_long(contents, long_sentence), at_most)
    _list(report.warnings, inconsistent_surfaces(contents), at_most)
    return report


def _list(target: list[str], found: list[str], at_most: int) -> None:
    target += found[:at_most]
    if len(found) > at_most:
        target.append(f"… and {len(found) - at_most} more like the last")


def _count(name: str, content: ConllFile) -> FileReport:
    lengths = [len(s.tokens) for s in content.sentences]
    spans = [entity_spans(s.ner_tags) for s in content.sentences]
    return FileReport(
        name=name,
        sentences=len(lengths),
        tokens=sum(lengths),
        entities=Counter(kind for row in spans for kind, _, _ in row),
        outside=sum(tag == "O" for s in content.sentences for tag in s.ner_tags),
        without_entity=sum(not row for row in spans),
        longest=max(lengths),
        under_six=sum(n < 6 for n in lengths),
    )


def _places(contents: dict[str, ConllFile]) -> dict[tuple[str, ...], list[tuple[str, int]]]:
    places = defaultdict(list)
    for name, content in contents.items():
        for sentence in content.sentences:
            places[tuple(sentence.tokens)].append((name, sentence.line))
    return places


def _in_two_files(contents: dict[str, ConllFile]) -> list[str]:
    found = []
    for words, places in _places(contents).items():
        names = sorted({name for name, _ in places})
        if len(names) > 1:
            found.append(f"sentence in {', '.join(f'{n}, line {line}' for n, line in places)}: {' '.join(words)[:80]}")
    return found


def _twice_in_one_file(contents: dict[str, ConllFile]) -> list[str]:
    found = []
    for words, places in _places(contents).items():
        lines = defaultdict(list)
        for name, line in places:
            lines[name].append(str(line))
        found += [
            f"{name}: same sentence at lines {', '.join(at)}: {' '.join(words)[:80]}"
            for name, at in lines.items()
            if len(at) > 1
        ]
    return found


def _too_long(contents: dict[str, ConllFile], limit: int) -> list[str]:
    return [
        f"{name}, line {s.line}: {len(s.tokens)} words; more than {limit} may not fit into the model in one piece"
        for name, content in contents.items()
        for s in content.sentences
        if len(s.tokens) > limit
    ]


def inconsistent_surfaces(contents: dict[str, ConllFile]) -> list[str]:
    """Surface forms whose annotation varies where their surroundings do not.

    Two kinds: a form of two words or more that is an entity in one place and wholly ``O`` in another; and a form that
    has different types between the same two neighbouring words.
    """
    annotated: dict[tuple[str, ...], Counter] = defaultdict(Counter)
    contexts: dict[tuple[str, ...], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, content in contents.items():
        for sentence in content.sentences:
            words = sentence.tokens
            for kind, start, end in entity_spans(sentence.ner_tags):
                form = tuple(words[start:end])
                annotated[form][kind] += 1
                before = words[start - 1] if start else "<s>"
                after = words[end] if end < len(words) else "</s>"
                contexts[before, *form, after][kind].append(f"{name}, line {sentence.line + start}")
    found = []
    longest = max((len(form) for form in annotated), default=0)
    for name, content in contents.items():
        for sentence in content.sentences:
            words, tags = sentence.tokens, sentence.ner_tags
            for start in range(len(words)):
                for end in range(start + 2, min(len(words), start + longest) + 1):
                    form = tuple(words[start:end])
                    if form in annotated and all(tag == "O" for tag in tags[start:end]):
                        kinds = ", ".join(f"{kind} {n} times" for kind, n in annotated[form].items())
                        found.append(
                            f"{name}, line {sentence.line + start}: {' '.join(form)!r} is O here, elsewhere {kinds}"
                        )
    for (before, *form, after), kinds in contexts.items():
        if len(kinds) > 1 and (before, after) != ("<s>", "</s>"):
            where = "; ".join(f"{kind} at {places[0]}" for kind, places in sorted(kinds.items()))
            found.append(f"{' '.join(form)!r} between {before!r} and {after!r}: {where}")
    return found
