"""Exercises of chapter 2: pieces, word ids, and a label for each piece."""

from ner_tutorial.exercises.engine import Exercise, Mistake, case, stub

GREEDY = Exercise(
    number="02.1",
    title="Cut a word as WordPiece does",
    statement="""\
A vocabulary has these entries and no others:

```text
[UNK] li lin ##d ##nd ##q ##qvist ##vist
```

Into which pieces does WordPiece cut the word `lindqvist`?""",
    start="answer = None  # a list of pieces, in order",
    solution="""\
answer = ["lin", "##d", "##qvist"]""",
    hint="Take the longest entry that the word starts with, then the longest continuation of what is left.",
    expected=["lin", "##d", "##qvist"],
    mistakes=(
        Mistake(
            ["li", "##nd", "##qvist"],
            "The pieces spell the word, and the first one is not the longest that fits: lin is longer than li. "
            "WordPiece never goes back to try another first piece.",
        ),
        Mistake(
            ["lin", "d", "qvist"],
            "The cuts are right, and the later pieces lack their ##, which says: this continues a word.",
        ),
        Mistake(
            ["lin", "##d", "##q", "##vist"],
            "The start is right. What is left after lind is qvist, and ##qvist is an entry: the longest one wins here too.",
        ),
        Mistake(
            ["lind", "##qvist"],
            "The pieces spell the word, but lind is not among the entries, so the tokenizer cannot use it.",
        ),
        Mistake(["[UNK]"], "A word becomes [UNK] only if some part of it has no entry. Here every part has one."),
    ),
)

PIECE_LABELS = Exercise(
    number="02.2",
    title="Label the pieces",
    statement="""\
Three words have the labels `B-ORG O B-LOC`, which are the ids `3 0 5`. The tokenizer makes eight tokens with these
word ids:

```text
None 0 0 1 2 2 2 None
```

Which label ids do the eight tokens get for training, if every piece is labelled? (`I-ORG` is 4, and `I-LOC` is 6.)""",
    start="answer = None  # a list of eight numbers",
    solution="answer = [-100, 3, 4, 0, 5, 6, 6, -100]",
    hint="The first piece of a word gets the label of the word. What continues B-ORG inside the word?",
    expected=[-100, 3, 4, 0, 5, 6, 6, -100],
    mistakes=(
        Mistake(
            [-100, 3, 3, 0, 5, 5, 5, -100],
            "You copied B- to every piece, so one organisation became two and one place three (error 11). "
            "Later pieces get I-.",
        ),
        Mistake(
            [0, 3, 4, 0, 5, 6, 6, 0],
            "The special tokens have the label O here. They belong to no word, so the loss must leave them out: -100.",
        ),
        Mistake(
            [-100, 3, -100, 0, 5, -100, -100, -100],
            "This is the other convention, in which only the first piece of a word has a label. The question is about "
            "labels on every piece.",
        ),
        Mistake(
            [3, 4, 0, 5, 6, 6],
            "The labels of the pieces are right. The two special tokens need a label as well, one that the loss ignores.",
        ),
        Mistake(
            [3, 0, 5], "These are the labels of the words. The model answers for tokens, and there are eight of them."
        ),
    ),
)

IGNORED = -100


def _align(labels, word_ids, continuation, later=None):
    later = later or (lambda label: continuation[label])
    aligned, previous = [], None
    for word in word_ids:
        if word is None:
            aligned.append(IGNORED)
        else:
            aligned.append(labels[word] if word != previous else later(labels[word]))
        previous = word
    return aligned


def _word_zero_is_false(labels, word_ids, continuation):
    return [
        label if word else IGNORED for label, word in zip(_align(labels, word_ids, continuation), word_ids, strict=True)
    ]


def _looks_up_by_word(labels, word_ids, continuation):
    aligned = _align(labels, word_ids, continuation)
    later = [word is not None and word == before for word, before in zip(word_ids, [None, *word_ids], strict=False)]
    return [continuation[w] if late else label for label, w, late in zip(aligned, word_ids, later, strict=True)]


def _compares_labels(labels, word_ids, continuation):
    aligned, previous = [], None
    for word in word_ids:
        label = IGNORED if word is None else labels[word]
        aligned.append(continuation[label] if label == previous and label != IGNORED else label)
        previous = label
    return aligned


ALIGN = Exercise(
    number="02.3",
    title="Write the alignment",
    statement="""\
Write `label_tokens(labels, word_ids, continuation)`, which does what the chapter's `align` does, without looking at
it. `labels` has one id for each word, `word_ids` one entry for each token (`None` for special tokens), and
`continuation[i]` is the id that continues label `i`. Return one id for each token, and -100 for special tokens.""",
    start=stub("label_tokens(labels, word_ids, continuation)"),
    solution="""\
def label_tokens(labels, word_ids, continuation):
    aligned, previous = [], None
    for word in word_ids:
        if word is None:
            aligned.append(-100)
        elif word != previous:  # the first piece of a word
            aligned.append(labels[word])
        else:
            aligned.append(continuation[labels[word]])
        previous = word
    return aligned""",
    hint="Remember the word id of the token before. Three cases: no word, a new word, the same word.",
    name="label_tokens",
    cases=(
        case([1, 0], [None, 0, 1, None], [0, 2, 2], expected=[-100, 1, 0, -100]),
        case([3, 0], [None, 0, 0, 0, 1, None], [0, 2, 2, 4, 4], expected=[-100, 3, 4, 4, 0, -100]),
        case([1, 1], [None, 0, 1, 1, None], [0, 2, 2], expected=[-100, 1, 1, 2, -100]),
        case([2, 1, 0], [None, 0, 0, 1, 1, 2, 2, None], [3, 2, 2, 3], expected=[-100, 2, 2, 1, 2, 0, 3, -100]),
        case([0, 1, 2], [None, 0, 1, 2, 2, None, None], [0, 2, 2], expected=[-100, 0, 1, 2, 2, -100, -100]),
    ),
    mistakes=(
        Mistake(
            lambda labels, word_ids, continuation: _align(labels, word_ids, continuation, later=lambda label: label),
            "It looks like a copy of the word's label on every piece: one name becomes several (error 11). A later "
            "piece of the same word gets continuation[label].",
        ),
        Mistake(
            lambda labels, word_ids, continuation: _align(
                labels, word_ids, continuation, later=lambda label: label + 1 if label % 2 else label
            ),
            'It looks like the shortcut "an odd id means B" (error 3), which holds for one order of the ids only. '
            "Take the id from continuation.",
        ),
        Mistake(
            lambda labels, word_ids, continuation: _align(labels, word_ids, continuation, later=lambda label: IGNORED),
            "Only first pieces have a label here. That is the convention for scoring; this function labels every piece.",
        ),
        Mistake(
            _word_zero_is_false,
            'Word 0 is treated as a special token. "if word" is false for None and for 0; write "if word is None".',
        ),
        Mistake(
            _looks_up_by_word,
            "A later piece gets continuation[word]. The table has one entry for each label, so look up the label of the "
            "word: continuation[labels[word]].",
        ),
        Mistake(
            _compares_labels,
            "A word is taken for the continuation of its neighbour when both have the same label. Compare word ids, "
            "not labels: two persons side by side are two words.",
        ),
    ),
)

CONTINUATION = Exercise(
    number="02.4",
    title="The table of continuations",
    statement="""\
Write `continuations(names)`: for a list of label names, in any order, return for each label the **id** of the label
that continues it inside a word. `B-X` and `I-X` continue as `I-X`, and `O` as `O`. The id of a label is its place in
`names`, so the answer for `["O", "B-LOC", "I-LOC"]` is `[0, 2, 2]`.""",
    start=stub("continuations(names)"),
    solution="""\
def continuations(names):
    continued = [name if name == "O" else "I-" + name[2:] for name in names]
    return [names.index(name) for name in continued]""",
    hint="First write down the names of the continuations. Then look up the id of each: names.index(name).",
    name="continuations",
    cases=(
        case(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"], expected=[0, 2, 2, 4, 4]),
        case(["O", "B-LOC", "B-PER", "I-LOC", "I-PER"], expected=[0, 3, 4, 3, 4]),
        case(["B-ORG", "I-ORG", "O"], expected=[1, 1, 2]),
    ),
    mistakes=(
        Mistake(
            lambda names: [i + 1 if i % 2 else i for i in range(len(names))],
            'This is the shortcut "an odd id means B" (error 3). Here the ids have another order, so B-LOC continues '
            "as another type.",
        ),
        Mistake(
            lambda names: list(range(len(names))),
            "Every label continues as itself, so B- is copied into the word (error 11). B-X continues as I-X.",
        ),
        Mistake(
            lambda names: [name if name == "O" else "I-" + name[2:] for name in names],
            "These are the right names. The table has ids: the place of each name in the list.",
        ),
        Mistake(
            lambda names: [i + 1 if name.startswith("B-") else i for i, name in enumerate(names)],
            "The id of B- plus one is I- only where the two are neighbours in the list. Look the name up.",
        ),
    ),
)


def _in_order(word_ids, names, count):
    return list(_first_answers(word_ids, names).values())


def _first_answers(word_ids, names):
    answers = {}
    for word, name in zip(word_ids, names, strict=True):
        if word is not None:
            answers.setdefault(word, name)
    return answers


BACK = Exercise(
    number="02.5",
    title="Find the fault: back to words",
    statement="""\
The model has answered each token, and `labels_of_words(word_ids, names, count)` should return one label name for each
of the `count` words: the answer of the word's first piece, and `O` for a word without a token. This version has a
fault. Find it and repair it.""",
    start="""\
def labels_of_words(word_ids, names, count):
    answers = {}
    for word, name in zip(word_ids, names, strict=True):
        if word is not None:
            answers.setdefault(word, name)
    return list(answers.values())""",
    solution="""\
def labels_of_words(word_ids, names, count):
    answers = {}
    for word, name in zip(word_ids, names, strict=True):
        if word is not None:
            answers.setdefault(word, name)
    return [answers.get(word, "O") for word in range(count)]""",
    hint="Which word ids does the dictionary have when the second of three words is a zero-width space?",
    name="labels_of_words",
    cases=(
        case([None, 0, 1, None], ["O", "B-PER", "O", "O"], 2, expected=["B-PER", "O"]),
        case([None, 0, 0, 1, None], ["O", "B-LOC", "I-LOC", "O", "O"], 2, expected=["B-LOC", "O"]),
        case([None, 0, 2, 3, None], ["O", "B-LOC", "O", "B-LOC", "O"], 4, expected=["B-LOC", "O", "O", "B-LOC"]),
        case([None, 0, None], ["O", "B-LOC", "O"], 2, expected=["B-LOC", "O"]),
        case([None, None], ["O", "O"], 1, expected=["O"]),
    ),
    mistakes=(
        Mistake(
            _in_order,
            "The answers come in order, as if every word had a token (error 8). One word gave none, and every "
            "label behind it belongs to the wrong word.",
        ),
        Mistake(
            lambda word_ids, names, count: [
                dict(zip(word_ids, names, strict=True)).get(word, "O") for word in range(count)
            ],
            "Here the last piece of a word answers for it. The first one should.",
        ),
        Mistake(
            lambda word_ids, names, count: [_first_answers(word_ids, names).get(word) for word in range(count)],
            "A word without a token has None. Scores and spans need a label for it, and no answer means O.",
        ),
        Mistake(
            lambda word_ids, names, count: (_in_order(word_ids, names, count) + ["O"] * count)[:count],
            "The length is right now, and the labels are still shifted: the O is at the end and not at the word "
            "that has no token. Look each word up by its id.",
        ),
    ),
)

EXERCISES = (GREEDY, PIECE_LABELS, ALIGN, CONTINUATION, BACK)
