"""Text is cut as training's words were, and read as evaluation reads words: for every kind of tokenizer."""

import logging
import unicodedata
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from miniature import name_corpus, run, tiny_bert_config
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, BertConfig, BertModel, PreTrainedTokenizerFast, set_seed
from transformers.modeling_outputs import TokenClassifierOutput

from ner_tutorial import (
    CONLL_SCHEME,
    Encoder,
    Sentence,
    Tagger,
    entity_spans,
    evaluate_model,
    load_tagger,
    load_tokenizer,
    sentences_to_dataset,
)
from ner_tutorial.characters import starts_character
from ner_tutorial.collation import training_rows
from ner_tutorial.encoders import require_word_ids
from ner_tutorial.text_check import check_text_agrees
from ner_tutorial.words import WordRule, joined, put_space_before_words

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
FRAME = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])

ENGLISH = [
    ("Nora Velt flew to Oslo , then ( Paris ) .", "B-PER I-PER O O B-LOC O O O B-LOC O O"),
    ("Acme-Group of U.S. won 2-1 , Ines said .", "B-ORG O B-LOC O O O B-PER O O"),
    ('Lima \'s port : " Oslo " ; Acme-Group ?', "B-LOC O O O O B-LOC O O B-ORG O"),
]
CHINESE = [("诺 拉 飞 往 奥 斯 陆 。", "B-PER I-PER O O B-LOC I-LOC I-LOC O"), ("她 在 巴 黎 。", "O O B-LOC I-LOC O")]
ACCENTED = [
    ("Re\u0301ne\u0301 lebt in Mu\u0308nchen .", "B-PER O O B-LOC O"),
    ("नोरा दिल्ली गई ।", "B-PER B-LOC O O"),
]


def dataset_of(rows):
    return sentences_to_dataset([Sentence(text.split(), [], [], tags.split()) for text, tags in rows])


def tokenizer_of(kind: str, rows) -> PreTrainedTokenizerFast:
    """A miniature of a kind in which every word of the rows, after a space, is one piece."""
    words = sorted({word for text, _ in rows for word in text.split()})
    texts = [" ".join([" " + word] * 9) for word in words]
    if kind.startswith("bytes"):
        backend = Tokenizer(models.BPE(unk_token="[UNK]"))
        backend.pre_tokenizer = {
            "bytes": pre_tokenizers.ByteLevel(add_prefix_space=False),
            "bytes after a split": pre_tokenizers.Sequence(
                [
                    pre_tokenizers.Split(
                        Regex(r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+"), "isolated"
                    ),
                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
                ]
            ),
        }[kind]
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=2000, special_tokens=SPECIALS, initial_alphabet=alphabet, show_progress=False
        )
        backend.train_from_iterator(texts, trainer)
    elif kind.startswith("sentencepiece"):
        alone = [(mark, -5.0) for mark in {character for word in words for character in word}]
        pieces = [
            ("[PAD]", 0.0),
            ("[UNK]", 0.0),
            ("[CLS]", 0.0),
            ("[SEP]", 0.0),
            *(("▁" + word, -1.0) for word in words),
        ]
        backend = Tokenizer(models.Unigram([*pieces, ("▁", -4.0), *alone], 1))
        scheme = "never" if kind == "sentencepiece without prefix" else "always"
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    else:
        letters = sorted({character for word in words for character in word})
        pieces = dict.fromkeys([*SPECIALS, *words, *letters, *("##" + letter for letter in letters)])
        backend = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if kind != "wordpiece without post-processor" and kind != "bytes":
        backend.post_processor = FRAME
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        model_max_length=64,
    )  # fmt: skip
    require_word_ids(tokenizer)
    return tokenizer


class PieceTagger(torch.nn.Module):
    """Answers with the label of the word that a piece begins, as training rows show it; O for what it never saw."""

    def __init__(self, rows, encoder: Encoder):
        super().__init__()
        scores = torch.zeros(len(encoder.tokenizer), encoder.scheme.num_labels)
        scores[:, encoder.scheme.outside_id] = 1.0
        for row in rows:
            for piece, label in zip(row["input_ids"], row["labels"], strict=True):
                if label != -100:
                    scores[piece, label] += 5.0
        self.scores = torch.nn.Embedding.from_pretrained(scores)
        self.config = BertConfig(id2label=encoder.scheme.id2label, label2id=encoder.scheme.label2id)
        self.device = torch.device("cpu")

    def forward(self, input_ids, attention_mask=None, token_type_ids=None):
        return TokenClassifierOutput(logits=self.scores(input_ids))


KINDS = [
    "wordpiece", "wordpiece without post-processor", "bytes", "bytes after a split", "sentencepiece",
    "sentencepiece without prefix",
]  # fmt: skip
each_kind = pytest.mark.parametrize("kind", KINDS)


def trained(kind: str, rows):
    """A model that knows the words of the rows, its encoder, and the rows as a data set."""
    dataset = dataset_of(rows)
    encoder = Encoder(tokenizer_of(kind, rows), CONLL_SCHEME)
    return PieceTagger(training_rows(dataset, encoder), encoder).eval(), encoder, dataset


# --------------------------------------------------------------------------------- words and their text, read alike


@each_kind
@pytest.mark.parametrize("rows", [ENGLISH, CHINESE, ACCENTED], ids=["English", "Chinese", "accents"])
def test_erratum_18_the_same_f1_as_words_and_as_text(kind, rows):
    if kind.startswith("wordpiece") and rows is ENGLISH:
        rows = [(text.replace("Acme-Group", "Acme").replace("U.S.", "US"), tags) for text, tags in rows]
    model, encoder, dataset = trained(kind, rows)
    assert evaluate_model(model, dataset, encoder.tokenizer).scores.f1 == 1.0
    agreement = check_text_agrees(model, dataset, encoder)
    assert (agreement.words_f1, agreement.text_f1) == (1.0, 1.0)


@each_kind
def test_erratum_18_predict_finds_in_text_what_evaluation_finds_in_words(kind):
    model, encoder, dataset = trained(kind, ENGLISH)
    tagger = Tagger(model, encoder.tokenizer)
    words = evaluate_model(model, dataset, encoder.tokenizer).predictions
    spaced = [(span.type, span.text) for span in tagger("Nora Velt flew to Oslo , then ( Paris ) .")]
    assert spaced == [("PER", "Nora Velt"), ("LOC", "Oslo"), ("LOC", "Paris")]
    assert sum(label[0] == "B" for label in words[0]) == 3
    for text in ("Nora Velt flew to Oslo, then (Paris).", "Nora Velt flew to Oslo,then(Paris)."):
        assert [(span.type, span.text) for span in tagger(text)] == spaced, text


@each_kind
def test_rows_have_the_special_tokens_that_the_tokenizer_itself_adds(kind):
    _, encoder, _ = trained(kind, ENGLISH)
    (row,) = encoder.windows([["Oslo", "won"]]).input_ids
    assert row == encoder.tokenizer(["Oslo", "won"], is_split_into_words=True)["input_ids"]
    (text,), _ = encoder.texts(["Oslo won"])[0].input_ids, None
    assert text == row


@each_kind
@pytest.mark.parametrize("empty", ["\u200b", "\x7f", "\u200b\u200b"])
def test_a_sentence_of_which_the_tokenizer_leaves_nothing_is_all_o(kind, empty):
    model, encoder, _ = trained(kind, ENGLISH)
    assert Tagger(model, encoder.tokenizer).predict([empty, "Oslo"])[0] == []
    rows = dataset_of([(empty, "B-PER"), ("Oslo", "B-LOC")])
    assert evaluate_model(model, rows, encoder.tokenizer).predictions == [["O"], ["B-LOC"]]


@pytest.mark.parametrize("kind", ["bytes", "bytes after a split", "sentencepiece without prefix"])
def test_a_word_gets_the_pieces_of_running_text(kind):
    tokenizer = tokenizer_of(kind, ENGLISH)
    in_text = tokenizer.tokenize("then Oslo flew")[-2:]
    assert tokenizer(["Oslo", "flew"], is_split_into_words=True, add_special_tokens=False).tokens() != in_text
    put_space_before_words(tokenizer)
    assert tokenizer(["Oslo", "flew"], is_split_into_words=True, add_special_tokens=False).tokens() == in_text


@pytest.mark.parametrize(
    "pre_tokenizer",
    [
        pre_tokenizers.Sequence([pre_tokenizers.Punctuation("isolated"), pre_tokenizers.Metaspace()]),
        pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]),
        pre_tokenizers.Sequence([pre_tokenizers.Digits(), pre_tokenizers.ByteLevel(add_prefix_space=True)]),
        pre_tokenizers.Whitespace(),
        None,
    ],
)
def test_a_tokenizer_that_puts_the_space_itself_or_needs_none_is_left_alone(pre_tokenizer):
    backend = Tokenizer(models.BPE(vocab={"a": 0}, merges=[]))
    if pre_tokenizer is not None:
        backend.pre_tokenizer = pre_tokenizer
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    before = tokenizer.backend_tokenizer.to_str()
    put_space_before_words(tokenizer)
    assert tokenizer.backend_tokenizer.to_str() == before


def test_a_very_long_text_without_spaces_is_cut_in_time_that_grows_with_it():
    """Work of the square of the length would be minutes here."""
    for part in ("a.", "x\u0301", "\u0301", "'s", "日", "1,"):
        text = part * 40_000
        assert WordRule(inside=".'").cut(text)[-1][1] == len(text)


@each_kind
def test_the_setting_and_the_rule_are_saved_with_the_tokenizer(kind, tmp_path):
    _, encoder, _ = trained(kind, ENGLISH)
    encoder.tokenizer.save_pretrained(tmp_path)
    BertConfig(vocab_size=len(encoder.tokenizer)).save_pretrained(tmp_path)
    words = [["Nora", "Velt", "won", "U.S.", "2-1"]]
    for again in (AutoTokenizer.from_pretrained(tmp_path), load_tokenizer(tmp_path)):
        assert again(words, is_split_into_words=True)["input_ids"] == encoder.windows(words).input_ids
        assert WordRule.of(again) == encoder.word_rule
    assert encoder.word_rule.punctuation == ("every" if kind.startswith("wordpiece") else "edges")


def test_a_rule_that_cannot_be_read_is_an_error_that_says_where():
    tokenizer = tokenizer_of("bytes", ENGLISH)
    tokenizer.init_kwargs["ner_tutorial"] = {"words": {"endings": [], "colour": "red"}}
    with pytest.raises(ValueError, match=r"'ner_tutorial' of tokenizer_config.json.*colour"):
        WordRule.of(tokenizer)
    for record in ({}, {"words": 5}, {"words": {"punctuation": "some"}}, {"words": {"endings": 3}}, "words"):
        tokenizer.init_kwargs["ner_tutorial"] = record
        with pytest.raises(ValueError, match="'ner_tutorial' of tokenizer_config"):
            WordRule.of(tokenizer)


def test_a_data_set_whose_words_are_cut_elsewhere_is_warned_of_with_both_f1(caplog):
    """Marks stay at the words of the data set here, and the default rule splits them off."""
    rows = [("She met Nora, in Oslo.", "O O B-PER O B-LOC"), ("Oslo. won Nora,", "B-LOC O B-PER")]
    model, encoder, dataset = trained("sentencepiece", rows)
    assert encoder.word_rule.punctuation == "none"
    assert check_text_agrees(model, dataset, encoder).text_f1 == 1.0
    del encoder.tokenizer.init_kwargs["ner_tutorial"]
    with caplog.at_level(logging.WARNING, logger="ner_tutorial"):
        agreement = check_text_agrees(model, dataset, encoder)
    assert (agreement.words_f1, agreement.text_f1, agreement.sentences) == (1.0, 0.0, 2)
    assert "F1 is 1.000 on the words of 2 validation sentences, and 0.000" in caplog.text


def test_an_empty_split_agrees_with_its_text():
    model, encoder, dataset = trained("bytes", ENGLISH)
    assert check_text_agrees(model, dataset.select([]), encoder).sentences == 0


@pytest.mark.parametrize("kind", ["bytes", "sentencepiece"])
def test_a_trained_model_reads_text_as_it_was_scored(kind, tmp_path):
    """From training to a loaded folder: the settings that make both alike are in the folder."""
    corpus = name_corpus()
    rows = [(" ".join(words), "") for words in corpus["train"]["tokens"]]
    tokenizer = tokenizer_of(kind, rows)
    set_seed(0)
    BertModel(tiny_bert_config(len(tokenizer), positions=64)).save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    result = run("accelerate", tmp_path / "run", corpus, str(tmp_path / "encoder"), epochs=5)
    assert result.test.f1 > 0.7
    tagger = load_tagger(tmp_path / "run", precision="no")
    assert "ner_tutorial" in tagger.tokenizer.init_kwargs
    agreement = check_text_agrees(tagger.model, corpus["test"], tagger.encoder)
    assert agreement.text_f1 == pytest.approx(agreement.words_f1, abs=0.05)
    assert agreement.words_f1 == pytest.approx(result.test.f1, abs=0.01)


# ------------------------------------------------------------------------------------------------------ how text is cut


def cut(text: str, rule: WordRule | None = None) -> list[str]:
    return [text[start:end] for start, end in (rule or WordRule()).cut(text)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("for Berlin, then (Paris).", ["for", "Berlin", ",", "then", "(", "Paris", ")", "."]),
        ("«Berlin»—Paris/Oslo…", ["«", "Berlin", "»", "—", "Paris", "/", "Oslo", "…"]),
        ("Oslo's U.S. Jean-Luc O'Neill 1,000.50", ["Oslo", "'s", "U.S.", "Jean-Luc", "O'Neill", "1,000.50"]),
        ("``Oslo''...", ["``", "Oslo", "''", "..."]),
        ("🙂Oslo🇳🇴 5€", ["🙂", "Oslo", "🇳🇴", "5", "€"]),
        ("她在奥斯陆。", [*"她在奥斯陆。"]),
        ("Oslo東京へ", ["Oslo", "東", "京", "へ"]),
        ("\u00a0Oslo\u3000Paris\u200b", ["Oslo", "Paris"]),
        ("", []),
        (" \n", []),
    ],
)
def test_text_is_cut_at_white_space_and_marks(text, words):
    assert cut(text) == words


@given(
    st.lists(st.sampled_from(["the", "Oslo", "Re\u0301", ",", ".", "-", "_", "日", "\u200b", " ", "x1"]), max_size=12)
)
def test_words_of_berts_kind_are_those_of_berts_pre_tokenizer(snippets):
    text = "".join(snippets).replace("\u200b", " ").replace("日", " 日 ")  # the normaliser's part
    expected = [text[start:end] for _, (start, end) in pre_tokenizers.BertPreTokenizer().pre_tokenize_str(text)]
    assert cut(text, WordRule("every", characters=False)) == expected


RULES = [WordRule(), WordRule("every", characters=False), WordRule("none"), WordRule("edges", "", "", (), (), False)]
TEXTS = st.text(
    st.sampled_from("aé 1.,'-\u0301\u0308\u200d\u200b\ufe0f😀👩🇳🇴🏽ि्दनกำ日へ\n€")
    | st.characters(exclude_categories=("Cs", "Co", "Cn", "Cc", "Cf")),
    max_size=20,
)


@settings(max_examples=200)
@given(text=TEXTS, rule=st.sampled_from(RULES))
def test_words_are_in_order_trimmed_and_begin_and_end_between_characters(text, rule):
    places = rule.cut(text)
    ends = [0, *(end for _, end in places)]
    for (start, end), before in zip(places, ends, strict=False):
        assert before <= start < end
        assert text[start:end] == text[start:end].strip()
        assert starts_character(text, start)
        assert starts_character(text, end)
        assert unicodedata.category(text[end : end + 1] or " ") not in ("Mn", "Mc", "Me")
    covered = {at for start, end in places for at in range(start, end)}
    assert all(at in covered for at, character in enumerate(text) if character.isalnum() and starts_character(text, at))


CHARACTERS = [
    "a",
    "e\u0301",
    "o\u0308",
    "हि",
    "न्दी",
    "กำ",
    "東",
    ".",
    ",",
    "-",
    "'",
    " ",
    "👩\u200d👧",
    "👍🏽",
    "🇳🇴",
    "❤\ufe0f",
    "1",
]


@settings(max_examples=200)
@given(text=st.lists(st.sampled_from(CHARACTERS), max_size=16).map("".join))
def test_the_borders_are_unicodes_grapheme_borders(text):
    regex = pytest.importorskip("regex")
    borders = {match.start() for match in regex.finditer(r"\X", text)} | {len(text)}
    for rule in RULES:
        assert {at for place in rule.cut(text) for at in place} <= borders


def test_the_rule_is_read_off_the_training_words():
    any_tokenizer = SimpleNamespace(init_kwargs={})
    news = [["U.S.", "and", "Jean-Luc", "'s", "3.5", ",", "B&B", "."], ["St.", "Oslo", "/", "Paris", ",", "1,000", "x"]]
    rule = WordRule.from_words(news, any_tokenizer)
    assert cut("U.S. Jean-Luc's 3.5,B&B, St. Oslo/Paris 1,000.", rule) == [
        "U.S.", "Jean-Luc", "'s", "3.5", ",", "B&B", ",", "St.", "Oslo", "/", "Paris", "1,000", ".",
    ]  # fmt: skip
    split = [["Jean", "-", "Luc", "and", "U.S."], ["Paris", "-", "Oslo"]]
    assert cut("Jean-Luc", WordRule.from_words(split, any_tokenizer)) == ["Jean", "-", "Luc"]
    attached = [["Oslo,", "the", "harbour."]]
    assert cut("Oslo, the harbour.", WordRule.from_words(attached, any_tokenizer)) == ["Oslo,", "the", "harbour."]
    segmented = [["東京", "へ行く"], ["ひと"]]
    assert cut("東京へ", WordRule.from_words(segmented, any_tokenizer)) == ["東京へ"]
    assert cut("東京へ", WordRule.from_words([[*"東京へ"]], any_tokenizer)) == [*"東京へ"]
    assert cut("2024年AB", WordRule.from_words([["2024", *"年東京"], ["AB"]], any_tokenizer)) == ["2024", "年", "AB"]
    assert cut("2024年AB", WordRule.from_words([[*"2024年東京AB"]], any_tokenizer)) == [*"2024年AB"]


@given(st.lists(st.sampled_from(["Oslo", ",", "(", ")", "'s", "東", "京", "the", "", "U.S."]), max_size=9))
def test_joined_words_stand_where_it_says(words):
    text, places = joined(words)
    assert [text[start:end] for start, end in places] == words


# ------------------------------------------------------------------------------------------------- spans of any text

SNIPPETS = [
    "Nora", "Velt", "Oslo", "Paris", "Re\u0301ne\u0301", "Mu\u0308nchen", "दिल्ली", "नोरा", "奥", "斯", "陆", " ", "\n", "\u0301",
    "\u200d", "\u200b", "😀", "👩", "🇳", "🇴", "-", ".", ",", "'s", "ि", "\ufe0f", "x",
]  # fmt: skip
EVERYTHING = [*ENGLISH, *CHINESE, *ACCENTED]


@pytest.fixture(scope="module")
def taggers():
    models = {kind: trained(kind, EVERYTHING)[:2] for kind in KINDS}
    return {
        (kind, strategy): Tagger(model, encoder.tokenizer, strategy)
        for kind, (model, encoder) in models.items()
        for strategy in ("simple", "first", "average", "max")
    }


@pytest.mark.parametrize("strategy", ["simple", "first", "average", "max"])
@each_kind
@settings(max_examples=40)
@given(snippets=st.lists(st.sampled_from(SNIPPETS), max_size=40))
def test_spans_are_trimmed_slices_between_characters(taggers, kind, strategy, snippets):
    text = "".join(snippets)
    spans = taggers[kind, strategy](text)
    ends = [0, *(span.end for span in spans)]
    for span, before in zip(spans, ends, strict=False):
        assert span.text == text[span.start : span.end] == span.text.strip() != ""
        assert before <= span.start
        assert starts_character(text, span.start)
        assert starts_character(text, span.end)


@each_kind
@settings(max_examples=40)
@given(data=st.data())
def test_any_words_and_their_text_are_answered_alike(taggers, kind, data):
    tagger = taggers[kind, "first"]
    known = sorted({word for text, _ in EVERYTHING for word in text.split()})
    if kind.startswith("wordpiece"):  # there each mark is a word of the text, as BERT's tokenizers have it
        known = [word for word in known if word.isalnum() or len(word) == 1 or not word.isascii()]
    words = data.draw(st.lists(st.sampled_from(known), min_size=1, max_size=30))
    # After "U.S." English writes no second full stop, and nothing says whether "U.S.." would be one word or two.
    words = [word for before, word in zip(["", *words], words, strict=False) if word != "." or before[-1:] != "."]
    text, places = joined(words)
    dataset = dataset_of([(" ".join(words), " ".join(["O"] * len(words)))])
    (labels,) = evaluate_model(tagger.model, dataset, tagger.tokenizer).predictions
    expected = [(type_, places[first][0], places[end - 1][1]) for type_, first, end in entity_spans(labels)]
    assert [(span.type, span.start, span.end) for span in tagger(text)] == expected


@each_kind
def test_accents_and_vowel_signs_stay_with_their_letters(taggers, kind):
    for text, tags in ACCENTED:
        words, labels = text.split(), tags.split()
        names = [word for word, label in zip(words, labels, strict=True) if label != "O"]
        assert [span.text for span in taggers[kind, "first"](text)] == names


@each_kind
def test_a_long_text_is_answered_word_by_word_as_without_windows(kind):
    model, encoder, _ = trained(kind, ENGLISH)
    text = "Nora Velt flew to Oslo, then (Paris). " * 30
    narrow = Tagger(model, encoder.tokenizer)(text)
    encoder.tokenizer.model_max_length = 5000
    wide = Tagger(model, encoder.tokenizer)(text)
    assert narrow == wide
    assert len(wide) == 90


@pytest.mark.parametrize("stride", [62, 63, 510, -1])
def test_a_stride_that_leaves_no_room_is_refused_before_any_text_is_read(stride):
    model, encoder, _ = trained("wordpiece", ENGLISH)
    with pytest.raises(ValueError, match=f"windows of 64 tokens cannot overlap by {stride}"):
        Tagger(model, encoder.tokenizer, stride=stride)
