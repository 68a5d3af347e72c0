"""Column files as people have them: each shape is read right or refused with a remedy, and never read wrong in silence.

Every text here was written for the test.
"""

import logging
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value
from hypothesis import given, settings
from hypothesis import strategies as st

from ner_tutorial import ConllError, LabelScheme, lint_folder, load_corpus, read_conll
from ner_tutorial.corpus import with_common_labels
from ner_tutorial.tagging import LABEL, recognise, to_iob2


@pytest.fixture
def read(tmp_path):
    def read_content(content: str | bytes, name: str = "data.txt", **options):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_conll(path, **options)

    return read_content


def content_of(file) -> list[tuple[str, str]]:
    """Sentences as ``word/label word/label``, with the number of their document."""
    return [
        (s.document, " ".join(f"{w}/{t}" for w, t in zip(s.tokens, s.ner_tags, strict=True))) for s in file.sentences
    ]


SHAPES = {
    "CoNLL-2002: word, part of speech, label": (
        "Lima NP B-LOC\n( Fpa O\nPiura NP B-LOC\n\nfin NC O\n",
        [(0, "Lima/B-LOC (/O Piura/B-LOC"), (0, "fin/O")],
        ["data.txt: word column 1, label column 3 of 3"],
    ),
    "CoNLL-2002, Dutch: a document mark of its own": (
        "-DOCSTART- -DOCSTART- O\nDe Art O\nheer N O\nVelt N B-PER\n",
        [(1, "De/O heer/O Velt/B-PER")],
        ["data.txt: word column 1, label column 3 of 3"],
    ),
    "GermEval: comment, number, word, outer and inner label": (
        "#\thttp://one.example\t[2009-10-17]\n1\tDas\tO\tO\n2\tOsloer\tB-LOCderiv\tO\n3\t#\tO\tO\n\n"
        "#\thttp://two.example\t[2009]\n1\tUni\tB-ORG\tO\n2\tOslo\tI-ORG\tB-LOC\n",
        [(0, "Das/O Osloer/B-LOCderiv #/O"), (0, "Uni/B-ORG Oslo/I-ORG")],
        [
            "data.txt: word column 2, label column 3 of 4",
            "data.txt: 1 entities of column 4, another layer of labels, are not read; "
            "--columns word=2,label=4 reads that one instead",
        ],
    ),
    "WNUT17: a tab in blank lines": (
        "omg\tO\nNora\tB-person\n\t\n#oslo\tB-location\n \t \nok\tO\n",
        [(0, "omg/O Nora/B-person"), (0, "#oslo/B-location"), (0, "ok/O")],
        [],
    ),
    "MIT: the label first": (
        "O\tshow\nB-ACTOR\tnora\nI-ACTOR\tvelt\n\nO\tmore\n",
        [(0, "show/O nora/B-ACTOR velt/I-ACTOR"), (0, "more/O")],
        ["data.txt: word column 2, label column 1 of 2"],
    ),
    "JNLPBA: document mark with a tab": (
        "-DOCSTART-\tO\n\nIL-2\tB-DNA\ngene\tI-DNA\n\n-DOCSTART-\tO\n\nx\tO\n",
        [(1, "IL-2/B-DNA gene/I-DNA"), (2, "x/O")],
        [],
    ),
    "Universal NER: CoNLL-U header, number, word, label, annotator": (
        "# newdoc id = a\n# sent_id = 1\n# text = Nora paid 10 000\n1\tNora\tB-PER\t-\tann\n2\tpaid\tO\t-\tann\n3\t10 000\tO\t-\tann\n\n"
        "# newdoc id = b\n# text = ok\n1-2\tok\t_\t-\tann\n1\to\tO\t-\tann\n2\tk\tO\t-\tann\n",
        [(1, "Nora/B-PER paid/O 10 000/O"), (2, "o/O k/O")],
        [
            "data.txt: word column 2, label column 3 of 5",
            "data.txt: 1 rows for several words at once are left out; their words are read",
        ],
    ),
    "MultiCoNER: a comment with as many columns as the rows": (
        "# id 52f\tdomain=en\nthe _ _ O\nferry _ _ B-Vehicle\n\n# id 53a\tdomain=en\nok _ _ O\n",
        [(0, "the/O ferry/B-Vehicle"), (0, "ok/O")],
        [],
    ),
    "AnEM: offsets": (
        "the\t0\t3\tO\nleft\t4\t8\tB-Organ\nlung\t9\t13\tI-Organ\n",
        [(0, "the/O left/B-Organ lung/I-Organ")],
        ["data.txt: columns 2 and 3 are no parts of speech and chunks, and are not read"],
    ),
    "LitBank: four layers of labels": (
        "My\tB-PER\tO\tO\tO\nsister\tI-PER\tB-PER\tO\tO\nran\tO\tO\tO\tO\n",
        [(0, "My/B-PER sister/I-PER ran/O")],
        [
            "data.txt: word column 1, label column 2 of 5",
            "data.txt: 1 entities of column 3, another layer of labels, are not read; "
            "--columns word=1,label=3 reads that one instead",
        ],
    ),
    "WikiANN: a language in front of each word": (
        "en:Oslo\tB-LOC\nen:is\tO\nen:.\tO\n",
        [(0, "Oslo/B-LOC is/O ./O")],
        ["data.txt: every word starts with 'en:', which is left out"],
    ),
    "UBIAI: CRLF, document mark with spaces, rows with tabs": (
        "-DOCSTART- -X- O O\r\n\r\nfive\tB-TIME\r\nyears\tI-TIME\r\n",
        [(1, "five/B-TIME years/I-TIME")],
        [],
    ),
    "Label Studio: placeholders in two columns": (
        "-DOCSTART- -X- O\nNora -X- _ B-PER\nleft -X- _ O\n",
        [(1, "Nora/B-PER left/O")],
        [],
    ),
    "OntoNotes: brackets, and as many columns as predicates": (
        "#begin document (bc/x); part 000\nbc/x 0 0 Nora NNP (TOP(S* - - - One (PERSON* (ARG0* (12\n"
        "bc/x 0 1 Velt NNP *) - - - One *) *) 12)\nbc/x 0 2 left VBD *)) leave 01 1 One * (V*) -\n"
        "bc/x 0 3 Oslo NNP *)) - - - One (GPE) (V*) -\n\nbc/x 0 0 OK UH (TOP*) - - - One * -\n\n#end document\n",
        [(1, "Nora/B-PERSON Velt/I-PERSON left/O Oslo/B-GPE"), (1, "OK/O")],
        ["data.txt: word column 4, label column 11 of 12"],
    ),
    "CoNLL-2003, German: lemma and chunks of its own": (
        "Der der ART B-NC O\nOla Ola NE I-NC B-PER\n\nDie der ART B-NC O\n",
        [(0, "Der/O Ola/B-PER"), (0, "Die/O")],
        ["data.txt: word column 1, label column 5 of 5"],
    ),
    "CleanCoNLL and others: five columns": (
        "Oslo NNP Q12 x B-LOC\nwins VBZ O x O\nagain RB O x O\n",
        [(0, "Oslo/B-LOC wins/O again/O")],
        ["data.txt: word column 1, label column 5 of 5"],
    ),
    "MasakhaNER: word and label, with a type of its own": ("leo O\nkesho B-DATE\n", [(0, "leo/O kesho/B-DATE")], []),
    "numbers as words beside a part of speech": (
        "1996 CD B-DATE\n12 CD O\n7 CD O\nMay NN O\n",
        [(0, "1996/B-DATE 12/O 7/O May/O")],
        ["data.txt: word column 1, label column 3 of 3"],
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shape_is_read_and_what_was_guessed_is_said(read, shape):
    text, sentences, notes = SHAPES[shape]
    file = read(text)
    assert content_of(file) == sentences
    assert file.notes == notes


@pytest.mark.parametrize("shape", SHAPES)
def test_shape_is_read_alike_by_load_corpus_and_by_lint(tmp_path, shape):
    text, sentences, _ = SHAPES[shape]
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.txt").write_bytes(text.encode())
    corpus = load_corpus(tmp_path)
    names = corpus["train"].features["ner_tags"].feature.names
    assert [
        " ".join(f"{word}/{names[i]}" for word, i in zip(row["tokens"], row["ner_tags"], strict=True))
        for row in corpus["train"]
    ] == [text for _, text in sentences]
    report = lint_folder(tmp_path)
    assert [file.name for file in report.files] == ["dev.txt", "test.txt", "train.txt"]
    assert report.files[2].tokens == sum(len(text.replace("10 000", "10000").split()) for _, text in sentences)


def test_brackets_and_given_columns_choose_another_layer(read):
    text = SHAPES["LitBank: four layers of labels"][0]
    file = read(text, columns="word=1,label=3")
    assert content_of(file) == [(0, "My/O sister/B-PER ran/O")]
    assert file.notes == []
    assert read(text, columns={"word": 1, "label": 3}).sentences == file.sentences


@pytest.mark.parametrize(
    "columns", ["word=1", "1,2", "word=0,label=1", "word=1,label=1", "word=a,label=2", {"tag": 1}, ""]
)
def test_columns_in_another_form_are_refused(read, columns):
    with pytest.raises(ValueError, match="write them as word=2,label=3, counted from 1"):
        read("a O\n", columns=columns)


REFUSED = {
    "words that count": ("1 O\n2 B-X\n3 O\n", r"data\.txt, line 1: no column holds words.*--columns word=N,label=M"),
    "KLUE: characters as rows, a space is a row": (
        "## one\t<Nora:PS>는\n노\tB-PS\n라\tI-PS\n \tO\n봐\tO\n",
        r"data\.txt, line 4: the word in column 1 is empty.*python -m ner_tutorial import data\.txt --output",
    ),
    "tagtog: stretches of text": (
        "New Haven\tLOC\n is a nice town , said\tO\nNora\tPER\n",
        r"data\.txt: column 1 holds stretches of text, not words.*ner_tutorial import",
    ),
    "FiNER: commas": ("gold_token,gold_label\nOslo,1\n", r"line 1: 1 column\(s\).*commas part columns here"),
    "CleanCoNLL: masks": (
        "[TOKEN]\tNNP\tQ1\tx\tB-LOC\n[TOKEN]\tVBZ\tO\tx\tO\n",
        r"column 1 holds \[TOKEN\] in place of most words",
    ),
    "two columns of labels, none a chunk": (
        "Uni NN B-ORG O\nOslo NN I-ORG B-LOC\n",
        r"columns 3 and 4 all look like entity labels; choose one: --columns word=1,label=4",
    ),
    "tabs and spaces that disagree": (
        "New York\tB-LOC\nOld York\tB-LOC\n",
        "2 columns by its tabs and 3 by its spaces",
    ),
    "words in the second column": (
        "x a O\nx b O\ny c B-X\n",
        "the words may be in column 1 or in column 2; --columns word=N",
    ),
    "a header": ("token label\nOslo B-LOC\n", "line 1: NER label 'label' .*if this line names the columns, delete it"),
    "a language in front of most words": (
        "en:Oslo\tB-LOC\nen:is\tO\nhere\tO\n",
        "2 of 3 words start with 'en:', as if it named their language",
    ),
    "a column that is not there": ("a O\n", "there is no column 3; the file has 2"),
}


@pytest.mark.parametrize("shape", REFUSED)
def test_shape_that_cannot_be_read_is_refused_with_what_to_do(read, shape):
    text, message = REFUSED[shape]
    options = {"columns": "word=1,label=3"} if shape == "a column that is not there" else {}
    with pytest.raises(ConllError, match=message):
        read(text, **options)


def test_messages_show_the_start_of_a_long_line_only(read):
    with pytest.raises(ConllError) as caught:
        read("a O\n" + "x" * 5_000_000 + " y z O\n")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("utf-16", "utf-16"), ("utf-16-le", "utf-16le"), ("utf-16-be", "utf-16be"), ("utf-32", "utf-32")],
)
def test_utf_16_and_utf_32_are_recognised_from_the_first_bytes(read, encoding, name):
    with pytest.raises(ConllError, match=rf"data\.txt, line 1: the file is {name.upper()}.*iconv -f {name} -t utf-8"):
        read("Oslo B-LOC\nis O\nhere O\n".encode(encoding))


# ---------------------------------------------------------------------------------------------------- tagging schemes

SCHEMES = {
    "BIOES": ["O", "S-A", "B-B", "I-B", "E-B", "S-B"],
    "BILOU": ["O", "U-A", "B-B", "I-B", "L-B", "U-B"],
    "BMES": ["O", "S-A", "B-B", "M-B", "E-B", "S-B"],
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_scheme_is_named_refused_and_converted_when_asked(read, scheme):
    text = "".join(f"w{i} {tag}\n" for i, tag in enumerate(SCHEMES[scheme]))
    with pytest.raises(ConllError, match=rf"line 2: label '.-A': the file is {scheme}, not IOB2; convert it with"):
        read(text)
    file = read(text, convert=True)
    assert file.sentences[0].ner_tags == ["O", "B-A", "B-B", "I-B", "I-B", "B-B"]
    assert file.scheme == scheme
    assert file.notes == [f"data.txt: converted from {scheme} to IOB2"]


def test_io_is_recognised_with_hyphens_in_its_types_and_its_loss_is_said(read):
    text = "Nora person-artist/author\nVelt person-artist/author\nin O\nOslo location-GPE\n"
    with pytest.raises(ConllError, match=r"line 1: label 'person-artist/author': the file is IO, .*--convert"):
        read(text)
    file = read(text, convert=True)
    assert file.sentences[0].ner_tags == ["B-person-artist/author", "I-person-artist/author", "O", "B-location-GPE"]
    assert "does not tell neighbouring entities" in file.notes[0]


def test_labels_that_break_the_rules_of_their_scheme_are_counted(read):
    file = read("a E-X\nb B-X\nc O\nd S-Y\n", convert=True)
    assert file.sentences[0].ner_tags == ["B-X", "B-X", "O", "B-Y"]
    assert file.notes == ["data.txt: converted from BIOES to IOB2; 2 labels broke its rules"]


@st.composite
def entities(draw):
    """The same entities in IOB2 and in BIOES."""
    iob2, bioes = [], []
    for kind, length in draw(st.lists(st.tuples(st.sampled_from([None, "X", "Y-Z"]), st.integers(1, 4)), max_size=8)):
        if kind is None:
            iob2 += ["O"] * length
            bioes += ["O"] * length
        else:
            iob2 += [f"B-{kind}"] + [f"I-{kind}"] * (length - 1)
            inner = [f"B-{kind}"] + [f"I-{kind}"] * (length - 2) + [f"E-{kind}"]
            bioes += inner if length > 1 else [f"S-{kind}"]
    return iob2, bioes


@given(entities())
def test_conversion_keeps_the_entities(case):
    iob2, bioes = case
    other = [tag.replace("E-", "L-").replace("S-", "U-") if tag[0] in "ES" else tag for tag in bioes]
    assert to_iob2(bioes, "BIOES") == to_iob2(other, "BILOU") == (iob2, 0)
    assert to_iob2(iob2, "IOB") == (iob2, 0)
    if {tag[0] for tag in bioes} & {"E", "S"}:
        assert (recognise(bioes), recognise(other)) == ("BIOES", "BILOU")


# ------------------------------------------------------------------------------------------- columns of random shape

words = st.sampled_from(["Oslo", "the", "Nora", "ran", "#", "10", "x-ray", "Bank", "of", "sea", "B-52", "日本", "is"])
tags = st.sampled_from(["O", "O", "O", "B-X", "B-Y", "I-X"])


@st.composite
def column_files(draw):
    """A file of random shape, the words and labels in it, and the columns they stand in."""
    before = draw(st.lists(st.sampled_from(["number", "offset", "language", "pos", "label"]), max_size=2, unique=True))
    after = draw(
        st.lists(
            st.sampled_from(["pos", "chunk", "end", "dash", "annotator", "label", "inner"]), max_size=4, unique=True
        )
    )
    columns = [*before, "word", *after]
    if "label" not in columns or columns.count("label") > 1:
        columns = [name for name in columns if name != "label"]
        columns.append("label")
    separator = draw(st.sampled_from(["\t", " "]))
    comment = draw(st.sampled_from(["", "# sent_id = 1\n", "# text = B-X is here\n", "#\thttp://a.example\n"]))
    sentences, lines, offset = [], [], 0
    for _ in range(draw(st.integers(1, 6))):
        row_words = draw(st.lists(words, min_size=1, max_size=7))
        row_tags, previous = [], "O"
        for _word in row_words:
            tag = draw(tags)
            tag = "B" + tag[1:] if tag[0] == "I" and previous[2:] != tag[2:] else tag
            row_tags.append(tag)
            previous = tag
        lines.append(comment)
        for number, (word, tag) in enumerate(zip(row_words, row_tags, strict=True), 1):
            cells = {
                "number": str(number), "offset": str(offset), "end": str(offset + len(word)), "language": "en",
                "pos": draw(st.sampled_from(["NN", "VBZ", "DT"])), "chunk": draw(st.sampled_from(["O", "B-NP", "I-NP"])),
                "dash": "-", "annotator": draw(st.sampled_from(["ann", "bob"])), "inner": "O" if tag == "O" else draw(tags),
                "word": word, "label": tag,
            }  # fmt: skip
            offset += len(word) + 1
            lines.append(separator.join(cells[name] for name in columns) + "\n")
        lines.append("\n")
        sentences.append((row_words, row_tags))
    return "".join(lines), sentences, columns


@settings(max_examples=400)
@given(column_files())
def test_file_of_random_shape_is_read_right_or_refused(tmp_path_factory, case):
    text, sentences, columns = case
    path = tmp_path_factory.mktemp("shape") / "data.tsv"
    path.write_text(text, encoding="utf-8")
    # Four columns are taken for word, part of speech, chunk and label until there is something to tell them apart by.
    lengths = [len(row) for row, _ in sentences]
    too_little = len(columns) == 4 and (sum(lengths) < 3 or max(lengths) < 2 or "language" in columns)
    # Two columns are word and label; nothing tells a label in front from a word if all the words look like labels.
    too_little |= len(columns) == 2 and all(LABEL.fullmatch(word) for row, _ in sentences for word in row)
    try:
        file = read_conll(path)
    except ConllError:
        pass
    else:
        if too_little and columns[0] != "word":
            return
        assert [s.tokens for s in file.sentences] == [row for row, _ in sentences], columns
        if "inner" not in columns:
            assert [s.ner_tags for s in file.sentences] == [row for _, row in sentences], columns
    if all(word == "#" for row, _ in sentences for word in row):
        return  # nothing tells rows from comments
    # Whoever says which columns are which gets them, whatever the others hold.
    given = {"word": columns.index("word") + 1, "label": columns.index("label") + 1}
    file = read_conll(path, columns=given)
    assert [(s.tokens, s.ner_tags) for s in file.sentences] == sentences


# -------------------------------------------------------------------------------------------------- files in a folder

ROW = "Oslo B-LOC\nis O\n"


def write(folder: Path, *names: str, text: str = ROW) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "names",
    [
        ("train", "dev", "test", "extra"),
        ("esp.train", "esp.testa", "esp.testb"),
        ("ned.train", "ned.testa", "ned.testb"),
        ("train.bio", "valid.bio", "test.bio"),
        ("train.bioes", "val.bioes", "test.bioes"),
        ("train.tsv", "devel.tsv", "test.tsv", "train_dev.tsv"),
        ("NER-de-train.tsv", "NER-de-dev.tsv", "NER-de-test.tsv"),
        ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated"),
        ("en_ewt-ud-train.iob2", "en_ewt-ud-dev.iob2", "en_ewt-ud-test.iob2"),
        ("conllpp_train.txt", "conllpp_dev.txt", "conllpp_test.txt"),
        ("restauranttrain.bio", "restaurantdev.bio", "restauranttest.bio"),
        ("train.conll", "dev.conll", "test.conll", "train.conll~", ".dev.conll.swp", "README.md"),
    ],
)
def test_splits_are_found_under_the_names_that_people_give_them(tmp_path, names):
    corpus = load_corpus(write(tmp_path, *names))
    assert {split: len(rows) for split, rows in corpus.items()} == {"train": 1, "validation": 1, "test": 1}
    looked_over = {file.name for file in lint_folder(tmp_path).files}
    assert set(names[:3]) <= looked_over


@pytest.mark.parametrize(
    ("names", "listed"),
    [
        (("train.conll", "train.txt", "dev.conll", "test.conll"), "train split (train.conll, train.txt)"),
        (("train.conll", "dev.conll", "valid.conll", "test.conll"), "validation split (dev.conll, valid.conll)"),
        (("a-train.tsv", "b-train.tsv", "dev.tsv", "test.tsv"), "train split (a-train.tsv, b-train.tsv)"),
    ],
)
def test_two_files_for_one_split_are_refused_and_listed(tmp_path, names, listed):
    with pytest.raises(ValueError, match=r"several files could be the") as caught:
        load_corpus(write(tmp_path, *names))
    assert listed in str(caught.value)


def parquet(folder: Path, *names: str, rows: Dataset | None = None) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        (rows or one_row(["Oslo"], [1])).to_parquet(path)
    return folder


def one_row(words, tags, names=("O", "B-LOC", "I-LOC")) -> Dataset:
    features = Features({"tokens": List(Value("string")), "ner_tags": List(ClassLabel(names=list(names)))})
    return Dataset.from_dict({"tokens": [words], "ner_tags": [tags]}, features=features)


def test_backup_and_notes_beside_parquet_are_no_split(tmp_path):
    parquet(
        tmp_path, "train.parquet", "validation.parquet", "test.parquet", "train_backup.parquet", "testing_notes.parquet"
    )
    assert {split: len(rows) for split, rows in load_corpus(tmp_path).items()} == dict.fromkeys(
        ["train", "validation", "test"], 1
    )


def test_parquet_beside_a_conll_file_of_the_same_split_is_refused(tmp_path):
    parquet(tmp_path, "train.parquet")
    with pytest.raises(ValueError, match=r"train split \(train\.conll, train\.parquet\); leave one of them"):
        load_corpus(write(tmp_path, "train.conll", "dev.conll", "test.conll"))


def test_missing_shard_is_refused(tmp_path):
    parquet(tmp_path, "train-00000-of-00002.parquet", "validation.parquet", "test.parquet")
    with pytest.raises(ValueError, match="train split has 1 parquet files where their names speak of 2"):
        load_corpus(tmp_path)


BAD_ROWS = {
    "no words": ([None], [[0]], "row 0: tokens holds nothing, not a list of words"),
    "a null word": ([["a", None]], [[0, 0]], "row 0: word 1 is None, not a text"),
    "no labels": ([["a"]], [None], "row 0: ner_tags holds nothing"),
    "a null label": ([["a"]], [[None]], "row 0: label id None is not one of 0 to 2"),
    "an id out of range": ([["a"], ["b"]], [[0], [7]], "row 1: label id 7 is not one of 0 to 2"),
    "another length": ([["a", "b"]], [[0]], "row 0: 2 tokens but 1 NER tags; delete the row or put one label"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_row_of_a_parquet_file_is_named_with_what_to_do(tmp_path, case):
    tokens, ids, message = BAD_ROWS[case]
    import pyarrow as pa
    import pyarrow.parquet

    features = one_row(["a"], [0]).features
    table = pa.table(
        {"tokens": pa.array(tokens, pa.list_(pa.string())), "ner_tags": pa.array(ids, pa.list_(pa.int64()))}
    )
    table = table.replace_schema_metadata(features.arrow_schema.metadata)
    parquet(tmp_path, "validation.parquet", "test.parquet")
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet")
    with pytest.raises(ValueError, match=message) as caught:
        load_corpus(tmp_path)
    assert str(tmp_path / "train.parquet") in str(caught.value)
    assert any(message in error for error in lint_folder(tmp_path).errors)


def test_one_text_in_place_of_words_is_refused(tmp_path):
    features = Features({"tokens": Value("string"), "ner_tags": List(ClassLabel(names=["O", "B-LOC", "I-LOC"]))})
    rows = Dataset.from_dict({"tokens": ["Oslo"], "ner_tags": [[1]]}, features=features)
    parquet(tmp_path, "train.parquet", "validation.parquet", "test.parquet", rows=rows)
    with pytest.raises(ValueError, match="row 0: tokens holds one text, 'Oslo', not a list of words"):
        load_corpus(tmp_path)


def test_missing_test_split_is_refused_with_the_command_that_splits(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file for test; .*python -m ner_tutorial import FILE… --output"):
        load_corpus(write(tmp_path, "train.conll", "dev.conll"))


def test_empty_split_is_said(tmp_path, caplog):
    parquet(tmp_path, "train.parquet", "validation.parquet")
    one_row(["a"], [0]).select([]).to_parquet(tmp_path / "test.parquet")
    with caplog.at_level(logging.WARNING, "ner_tutorial"):
        assert len(load_corpus(tmp_path)["test"]) == 0
    assert "the test split holds no sentence" in caplog.text


def test_comma_separated_files_are_named_where_a_split_is_missing(tmp_path):
    write(tmp_path, "train.csv", "val.csv", "test.csv", text="gold_token,gold_label\nOslo,1\n")
    with pytest.raises(FileNotFoundError, match=r"no file for train, validation, test; .*a \.csv file is not read"):
        load_corpus(tmp_path)


@pytest.mark.parametrize("source", ["", " "])
def test_an_empty_name_is_no_corpus(source):
    with pytest.raises(ValueError, match="no corpus given"):
        load_corpus(source)


# ------------------------------------------------------------------------------------- labels that splits name apart


def splits_by_their_own_labels() -> DatasetDict:
    """As ``sorted(set(labels))`` in each split gives them: the small split lacks a type, and all ids behind it shift."""
    train = one_row(["Nora", "Oslo", "saw"], [1, 2, 3], ["B-LOC", "B-ORG", "B-PER", "O", "I-LOC", "I-ORG", "I-PER"])
    test = one_row(["Nora", "saw"], [0, 1], ["B-PER", "O"])
    return DatasetDict({"train": train, "test": test})


def named(rows: Dataset) -> list[list[str]]:
    names = rows.features["ner_tags"].feature.names
    return [[names[i] for i in ids] for ids in rows["ner_tags"]]


def test_erratum_19_splits_that_number_their_labels_apart_are_matched_by_name_and_it_is_said(caplog):
    splits = splits_by_their_own_labels()
    with caplog.at_level(logging.WARNING, "ner_tutorial"):
        common = with_common_labels(splits)
    assert {split: named(rows) for split, rows in common.items()} == {
        split: named(rows) for split, rows in splits.items()
    }
    assert common["train"].features["ner_tags"] == common["test"].features["ner_tags"]
    assert "split test: label ids renumbered by name from the order B-PER O" in caplog.text
    assert "split test: its labels lack B-LOC B-ORG I-LOC I-ORG I-PER" in caplog.text


def test_splits_that_name_their_labels_alike_are_left_alone(newswire, caplog):
    with caplog.at_level(logging.WARNING, "ner_tutorial"):
        assert all(
            common is rows
            for common, rows in zip(with_common_labels(newswire).values(), newswire.values(), strict=True)
        )
    assert caplog.records == []


def test_scheme_from_labels_has_an_order_that_depends_on_the_types_alone():
    assert LabelScheme.from_labels(["I-b", "O", "B-a"]) == LabelScheme(["O", "B-a", "I-a", "B-b", "I-b"])
    assert LabelScheme.from_labels([]) == LabelScheme(["O"])
    with pytest.raises(ValueError, match="label 'X' is not O, B-TYPE or I-TYPE"):
        LabelScheme.from_labels(["X"])


cells = st.sampled_from(
    [
        "O",
        "B-X",
        "I-X",
        "S-X",
        "#",
        "# a",
        "1",
        "2",
        "3",
        "word",
        "en:x",
        "_",
        "*",
        "(X*",
        "",
        " ",
        "-DOCSTART-",
        "\u200b",
        "0",
        "PER",
    ]
)


@settings(max_examples=300)
@given(
    st.lists(st.lists(cells, max_size=5).flatmap(lambda row: st.sampled_from(["\t", " "]).map(lambda s: s.join(row))))
)
def test_any_lines_are_read_or_refused_in_words(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("lines") / "data.tsv"
    path.write_text("\n".join(lines), encoding="utf-8")
    for options in ({}, {"convert": True}, {"columns": "word=1,label=2"}):
        try:
            file = read_conll(path, **options)
        except ConllError as error:
            named = str(error)
        else:
            named = str(path)
            assert all(file.sentences)
            assert all(len(s.tokens) == len(s.ner_tags) and all(s.tokens) for s in file.sentences)
        assert str(path) in named
