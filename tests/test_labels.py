"""The label scheme: what it refuses, and tables that are right for every order of the ids."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertConfig

from ner_tutorial import CONLL_SCHEME, LabelScheme, align_labels_with_tokens
from ner_tutorial.labels import CHUNK_NAMES, NER_NAMES, POS_NAMES

# The ids of another public copy of CoNLL-2003.
OTHER_ORDER = ("O", "B-ORG", "B-MISC", "B-PER", "I-PER", "B-LOC", "I-ORG", "I-MISC", "I-LOC")

orders = st.permutations(NER_NAMES)


@given(orders)
def test_tables_agree_with_the_names_in_any_id_order(names):
    scheme = LabelScheme(names)
    assert scheme.names == tuple(names)
    assert scheme.num_labels == 9
    assert [scheme.id2label[i] for i in range(9)] == list(names)
    assert all(scheme.label2id[name] == i for i, name in scheme.id2label.items())
    assert names[scheme.outside_id] == "O"
    assert scheme.entity_types == tuple(name[2:] for name in names if name[0] == "B")


@given(orders)
def test_continuation_turns_b_into_i_of_the_same_type_in_any_id_order(names):
    scheme = LabelScheme(names)
    found = {name: names[scheme.continuation[i]] for i, name in enumerate(names)}
    assert found == {
        "O": "O",
        "B-PER": "I-PER", "I-PER": "I-PER",
        "B-ORG": "I-ORG", "I-ORG": "I-ORG",
        "B-LOC": "I-LOC", "I-LOC": "I-LOC",
        "B-MISC": "I-MISC", "I-MISC": "I-MISC",
    }  # fmt: skip


def test_erratum_03_continuation_is_by_name_not_by_odd_id():
    # "An odd id is a B, add one": with these ids B-ORG would become B-MISC, and I-MISC would become I-LOC.
    wrong = [label + 1 if label % 2 else label for label in range(9)]
    assert OTHER_ORDER[wrong[OTHER_ORDER.index("B-ORG")]] == "B-MISC"
    assert OTHER_ORDER[wrong[OTHER_ORDER.index("I-MISC")]] == "I-LOC"

    scheme = LabelScheme(OTHER_ORDER)
    words = [scheme.label2id[name] for name in ("B-ORG", "O", "B-MISC", "I-MISC")]
    aligned = align_labels_with_tokens(words, [None, 0, 0, 1, 1, 2, 2, 3, 3, None], scheme)
    assert [scheme.names[i] for i in aligned[1:-1]] == [
        "B-ORG", "I-ORG", "O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["O", "B-PER", "I-PER", "B-PER"], "given twice: B-PER"),
        (["B-PER", "I-PER"], "O .*is missing"),
        (["0", "B-PER", "I-PER"], "is a digit 0 in its place"),
        ([], "O .*is missing"),
        (["O", "B-PER"], "B-PER has no partner I-PER"),
        (["O", "I-PER"], "I-PER has no partner B-PER"),
        (["O", "B-PER", "I-ORG", "I-PER"], "I-ORG has no partner B-ORG"),
        (["O", "PER"], "'PER' is not O, B-TYPE or I-TYPE"),
        (["O", "B-", "I-"], "'B-' is not O, B-TYPE or I-TYPE"),
        (["O", "b-PER", "I-PER"], "'b-PER' is not O, B-TYPE or I-TYPE"),
        (["O", "B_PER", "I_PER"], "'B_PER' is not O, B-TYPE or I-TYPE"),
        (["O", ""], "'' is not O, B-TYPE or I-TYPE"),
        (["O", 1], "must be strings"),
    ],
)
def test_refuses_names_that_are_no_iob2_scheme(names, message):
    with pytest.raises(ValueError, match=message):
        LabelScheme(names)


def test_types_may_hold_hyphens_and_other_alphabets():
    scheme = LabelScheme(["O", "B-land-mark", "I-land-mark", "I-人物", "B-人物"])
    assert scheme.entity_types == ("land-mark", "人物")
    assert scheme.continuation == (0, 2, 2, 3, 3)


def test_scheme_cannot_be_changed_and_equals_by_names():
    scheme = LabelScheme(NER_NAMES)
    with pytest.raises(dataclasses.FrozenInstanceError):
        scheme.names = ("O",)
    assert scheme == CONLL_SCHEME
    assert hash(scheme) == hash(CONLL_SCHEME)
    assert scheme != LabelScheme(OTHER_ORDER)


def test_changing_a_table_that_was_handed_out_does_not_change_the_scheme():
    CONLL_SCHEME.label2id["O"] = 5
    CONLL_SCHEME.id2label[0] = "B-PER"
    assert CONLL_SCHEME.label2id["O"] == 0
    assert CONLL_SCHEME.id2label[0] == "O"


@given(orders)
def test_scheme_survives_a_model_configuration(names):
    scheme = LabelScheme(names)
    config = BertConfig(id2label=scheme.id2label, label2id=scheme.label2id)
    assert LabelScheme.from_config(config) == scheme
    # The saved form has strings for keys, and a configuration is read back from it.
    assert LabelScheme.from_config(BertConfig.from_dict(config.to_dict())) == scheme


def test_configuration_of_a_model_without_ner_labels_is_refused():
    with pytest.raises(ValueError, match=r"the label O .* is missing"):
        LabelScheme.from_config(BertConfig(num_labels=2))


def test_scheme_of_a_data_set_is_read_from_its_features(newswire):
    assert LabelScheme.from_features(newswire["train"].features) == CONLL_SCHEME


def test_check_tags_names_the_label_its_position_and_the_place():
    CONLL_SCHEME.check_tags(["O", "B-PER", "I-PER"])
    with pytest.raises(ValueError, match=r"page 3: label 'B-FOO' at position 1 is not in the scheme O B-PER"):
        CONLL_SCHEME.check_tags(["O", "B-FOO"], "page 3")
    with pytest.raises(ValueError, match=r"label '0' \(a digit zero; the label is the letter O\) at position 0"):
        CONLL_SCHEME.check_tags(["0"])


def test_tag_sets_have_the_sizes_of_conll_2003_and_no_duplicates():
    assert [len(set(names)) for names in (NER_NAMES, POS_NAMES, CHUNK_NAMES)] == [9, 47, 23]
    assert [len(names) for names in (NER_NAMES, POS_NAMES, CHUNK_NAMES)] == [9, 47, 23]
