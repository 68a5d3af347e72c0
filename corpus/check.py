"""Check story files while writing: `python corpus/check.py corpus/stories/*.txt`. Standard library only.

Prints markup and tokenisation errors with file and line, then the figures that AUTHORS.md asks for.
"""

import re
import sys
from collections import Counter, defaultdict

from markup import TYPES, Line, MarkupError, read_stories

UNSPLIT = re.compile(r".+[,;:!?\"()]$|^[\"(,$].+|.+'s$|.+n't$")


def mask(line: Line) -> str:
    """The sentence with entities and numbers masked, in lower case."""
    masked = []
    for token, tag in zip(line.tokens, line.tags, strict=True):
        if tag.startswith("B-"):
            masked.append("<E>")
        elif tag == "O":
            masked.append(re.sub(r"\d+", "0", token.lower()))
    return " ".join(masked)


def errors(lines: list[Line]) -> list[str]:
    """Tokens that should be split, sentences that are too long, and sentences that occur twice."""
    found, seen = [], {}
    for line in lines:
        for token in line.tokens:
            if len(token) > 1 and token not in ("'s", "n't") and UNSPLIT.match(token):
                found.append(f"{line.place}: token {token!r} should be split")
        if len(line.tokens) > 60:
            found.append(f"{line.place}: {len(line.tokens)} words, at most 60")
        if line.text in seen:
            found.append(f"{line.place}: same sentence as {seen[line.text]}: {line.text}")
        seen[line.text] = line.place
    return found


def report(stories) -> list[str]:
    """The figures, a line each."""
    lines = [line for story in stories for line in story.lines]
    types: Counter = Counter()
    surfaces = defaultdict(set)
    for line in lines:
        words: list[str] = []
        for token, tag, following in zip(line.tokens, line.tags, [*line.tags[1:], "O"], strict=True):
            if tag == "O":
                continue
            words.append(token)
            if not following.startswith("I-"):
                types[tag[2:]] += 1
                surfaces[" ".join(words)].add(tag[2:])
                words = []
    lengths = [len(line.tokens) for line in lines]
    tags = [tag for line in lines for tag in line.tags]
    shapes = Counter(mask(line) for line in lines if len(line.tokens) >= 6)
    empty = sum(set(line.tags) == {"O"} for line in lines)
    total = types.total()
    return [
        f"{len(stories)} stories, {len(lines)} sentences, {len(tags)} tokens, mean {len(tags) / len(lines):.1f}, longest "
        f"{max(lengths)}, under 6 words {sum(n < 6 for n in lengths) / len(lines):.0%}",
        f"{total} entities: " + ", ".join(f"{kind} {types[kind] / total:.0%}" for kind in TYPES),
        f"O {tags.count('O') / len(tags):.0%} of tokens; {empty / len(lines):.0%} of sentences without an entity",
        f"{len(surfaces)} surface forms, {sum(len(kinds) > 1 for kinds in surfaces.values())} with two or more types; "
        f"{len(shapes) / shapes.total():.0%} of masked sentences of six words and more are unique",
    ]


def main(paths: list[str]) -> int:
    try:
        stories = read_stories(paths)
    except MarkupError as error:
        print(error, file=sys.stderr)
        return 1
    twice = [name for name, count in Counter(story.name for story in stories).items() if count > 1]
    found = [f"story id twice: {name}" for name in twice]
    found += errors([line for story in stories for line in story.lines])
    print("\n".join([*found, *report(stories), f"{len(found)} errors"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
