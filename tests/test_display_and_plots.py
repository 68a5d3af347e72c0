"""What a reader sees: two-line views, marked entities, and figures that hold the numbers they were given."""

import re
from html import unescape
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from ner_tutorial import (
    aligned_text,
    mentions,
    plot_epochs,
    plot_label_counts,
    plot_padding,
    plot_sentence_lengths,
    plot_type_scores,
    score_labels,
    show_aligned,
    show_entities,
)
from ner_tutorial.display import ALL_COLOURS, OTHER_COLOURS, TYPE_COLOURS, EntityView, colour_of, colours_of
from ner_tutorial.plots import SERIES, mention_counts
from ner_tutorial.tagger import EntitySpan
from ner_tutorial.training import EpochMetrics

mpl.use("Agg")  # figures are drawn into memory, whatever screen there is


@pytest.fixture(autouse=True)
def close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


# ----------------------------------------------------------------------------------------------------- two-line view

entries = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8)


@given(st.lists(st.tuples(entries, entries), min_size=1, max_size=10))
def test_columns_stand_over_each_other_as_wide_as_the_longer_entry(columns):
    words, labels = zip(*columns, strict=True)
    lines = aligned_text(words, labels).split("\n")
    assert [line.split() for line in lines] == [list(words), list(labels)]
    at = 0
    for word, label in columns:
        assert lines[0][at:].startswith(word)
        assert lines[1][at:].startswith(label)
        at += max(len(word), len(label)) + 1


def test_labels_may_be_numbers():
    assert aligned_text(["la", "##mb", "."], [-100, 12, 0]) == "la   ##mb .\n-100 12   0"


def test_no_words_give_an_empty_view():
    assert aligned_text([], []) == ""


def test_view_is_printed_and_returned(capsys):
    text = show_aligned(["Oslo", "sleeps"], ["B-LOC", "O"])
    assert capsys.readouterr().out == text + "\n" == "Oslo  sleeps\nB-LOC O\n"


@pytest.mark.parametrize("show", [aligned_text, show_aligned, show_entities])
def test_words_and_labels_of_different_number_are_refused(show):
    with pytest.raises(ValueError, match="2 words but 1 labels"):
        show(["a", "b"], ["O"])


# ---------------------------------------------------------------------------------------------------- marked entities


def text_of(html: str) -> str:
    """The text that a browser shows, with the type labels left out."""
    return unescape(re.sub(r"<[^>]+>", "", re.sub(r" <b [^>]*>[^<]*</b>", "", html)))


def marks_of(html: str) -> list[tuple[str, str]]:
    """(text, type) of each mark."""
    return [(unescape(text), kind) for text, kind in re.findall(r"<mark [^>]*>(.*?) <b [^>]*>(.*?)</b></mark>", html)]


def test_words_with_labels_are_marked_in_brackets_and_in_html():
    view = show_entities(["Nora", "Velt", "left", "Oslo", "."], ["B-PER", "I-PER", "O", "B-LOC", "O"])
    assert str(view) == repr(view) == "[Nora Velt]PER left [Oslo]LOC ."
    html = view._repr_html_()
    assert text_of(html) == "Nora Velt left Oslo ."
    assert marks_of(html) == [("Nora Velt", "PER"), ("Oslo", "LOC")]
    assert TYPE_COLOURS["PER"] in html
    assert TYPE_COLOURS["LOC"] in html


def test_adjacent_entities_are_two_marks():
    assert str(show_entities(["Oslo", "Bergen"], ["B-LOC", "B-LOC"])) == "[Oslo]LOC [Bergen]LOC"


def test_text_takes_spans_of_the_tagger_and_dictionaries_of_a_pipeline_in_any_order():
    text = "Nora left Oslo."
    spans = [EntitySpan("LOC", "Oslo", 10, 14, 0.9), EntitySpan("PER", "Nora", 0, 4, 0.9)]
    grouped = [{"entity_group": s.type, "start": s.start, "end": s.end, "score": 0.9, "word": s.text} for s in spans]
    ungrouped = [{"entity": "B-" + s.type, "start": s.start, "end": s.end, "index": 1} for s in spans]
    for entities in (spans, grouped, ungrouped):
        assert str(show_entities(text, entities)) == "[Nora]PER left [Oslo]LOC."


def test_without_entities_the_text_stands_as_it_is():
    assert str(show_entities("Nothing here.", [])) == "Nothing here."
    assert str(show_entities([], [])) == ""
    assert marks_of(show_entities(["a", "b"], ["O", "O"])._repr_html_()) == []


@given(st.lists(st.tuples(st.text(min_size=1, max_size=6), st.sampled_from(["O", "B-PER", "B-<x>"])), max_size=6))
def test_html_shows_the_words_and_nothing_in_them_becomes_markup(pairs):
    words, labels = [word for word, _ in pairs], [label for _, label in pairs]
    html = show_entities(words, labels)._repr_html_()
    assert text_of(html) == " ".join(words)
    assert html.count("<mark") == html.count("</mark>") == sum(label != "O" for label in labels)
    assert set(re.findall(r"</?(\w+)", html)) <= {"div", "mark", "b"}


def test_script_in_a_word_is_escaped():
    html = show_entities(["<script>alert(1)</script>"], ["B-PER"])._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_entities_inside_and_across_each_other_are_drawn_and_the_text_stays_whole():
    text = "University of Oslo Hospital"
    nested = [(14, 18, "LOC"), (0, 18, "ORG"), (14, 27, "FAC")]
    view = EntityView(text, nested)
    assert str(view) == "[University of [[Oslo]LOC]FAC]ORG Hospital"
    assert text_of(view._repr_html_()) == text


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.sampled_from("XY<")), max_size=6))
def test_any_spans_leave_the_text_as_it_is_and_the_markup_closed(spans):
    text = "a<b>&c d.e"
    spans = [(min(a, b), max(a, b), kind) for a, b, kind in spans]
    html = EntityView(text, spans)._repr_html_()
    assert text_of(html) == text
    assert html.count("<mark") == html.count("</mark>") == len(spans)
    assert str(EntityView(text, spans)).count("[") == len(spans)


def test_entity_outside_the_text_is_refused():
    with pytest.raises(ValueError, match="entity PER from 0 to 9 is not in the text of 4 characters"):
        EntityView("Nora", [(0, 9, "PER")])


def test_eight_types_have_eight_tints_and_any_number_has_one_each():
    kinds = ["PER", "ORG", "LOC", "MISC", "GENE", "DRUG", "TOOL", "PART"]
    assert len(set(colours_of(kinds).values())) == 8
    many = colours_of(f"type{i}" for i in range(66))
    assert len(many) == 66
    assert set(many.values()) == set(ALL_COLOURS)


def luminance(colour) -> float:
    """Relative luminance as WCAG 2 defines it."""
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("colour", [*TYPE_COLOURS.values(), *OTHER_COLOURS])
def test_dark_text_on_every_tint_has_the_contrast_that_wcag_asks_for(colour):
    assert (luminance(colour) + 0.05) / (luminance("#1a1a1a") + 0.05) >= 7


def test_types_outside_conll_get_a_colour_that_stays():
    assert colour_of("GENE") == colour_of("GENE")
    assert colour_of("GENE") in OTHER_COLOURS
    assert len({colour_of(kind) for kind in ("PER", "ORG", "LOC", "MISC")}) == 4


# -------------------------------------------------------------------------------------------------------------- plots


def bars(axis) -> dict[str, list[float]]:
    return {container.get_label(): [bar.get_height() for bar in container] for container in axis.containers}


def tick_texts(axis) -> list[str]:
    return [tick.get_text() for tick in axis.get_xticklabels()]


def drawn(figure) -> Figure:
    """The figure, after it has really been drawn."""
    assert isinstance(figure, Figure)
    figure.canvas.draw()
    assert np.asarray(figure.canvas.buffer_rgba()).std() > 0  # not a blank sheet
    return figure


def test_bars_of_label_counts_are_the_shares_of_each_split():
    counts = {"train": {"PER": 3, "LOC": 1}, "test": {"LOC": 2, "ORG": 2}, "empty": {}}
    (axis,) = drawn(plot_label_counts(counts)).axes
    assert tick_texts(axis) == ["LOC", "ORG", "PER"]
    assert bars(axis) == {"train": [0.25, 0, 0.75], "test": [0.5, 0.5, 0], "empty": [0, 0, 0]}
    # Bars of one type stand side by side, not over each other.
    spans = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for c in axis.containers for bar in c)
    assert all(left[1] <= right[0] + 1e-9 for left, right in pairwise(spans))


def test_counts_for_the_plot_are_the_mentions_of_each_split(small_corpus):
    counts = mention_counts(small_corpus)
    assert list(counts) == ["train", "validation", "test"]
    for split, row in counts.items():
        found = [kind for _, kind in mentions(small_corpus[split])]
        assert row == {kind: found.count(kind) for kind in set(found)}


def test_sentence_length_histograms_are_shares_that_sum_to_one():
    lengths = {"train": [1, 2, 2, 14, 30], "test": [5, 5, 6]}
    (axis,) = drawn(plot_sentence_lengths(lengths)).axes
    found = {patch.get_label(): patch.get_path().vertices for patch in axis.patches}
    assert set(found) == {"train", "test"}
    for name, vertices in found.items():
        # A step histogram is one outline: up, along 3 words, down. Its area is the sum of the shares times 3.
        x, y = vertices[:, 0], vertices[:, 1]
        assert np.trapezoid(y, x) == pytest.approx(3.0), name
    assert found["test"][:, 1].max() == pytest.approx(2 / 3)  # 5 and 5 fall into 3 to 5, 6 into the next


def test_padding_picture_has_a_cell_a_token_and_says_the_share():
    figure = drawn(plot_padding({"random": [[4, 1], [2, 2]], "sorted": [[1, 2], [2, 4]]}))
    random, ordered = figure.axes
    image = random.images[0].get_array()
    # 2: token, 1: padding, 0: outside the batch; an empty row parts the batches.
    assert image.tolist() == [[2, 2, 2, 2], [2, 1, 1, 1], [0, 0, 0, 0], [2, 2, 0, 0], [2, 2, 0, 0]]
    assert random.get_title() == "random\n25% padding"
    assert ordered.get_title() == "sorted\n25% padding"
    assert (ordered.images[0].get_array() == 1).sum() == 3


def test_padding_picture_of_one_way_has_one_panel():
    assert len(drawn(plot_padding({"all": [[3, 3]]})).axes) == 1


def epoch(number: int, loss: float, f1: float) -> EpochMetrics:
    return EpochMetrics(number, loss, loss + 0.1, f1, f1, f1, 0.9)


def test_curves_hold_the_losses_and_f1_of_each_epoch():
    left, right = drawn(plot_epochs([epoch(1, 0.5, 0.6), epoch(2, 0.3, 0.7)])).axes
    lines = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in [*left.lines, *right.lines]}
    assert lines == {
        "training": ([1, 2], [0.5, 0.3]),
        "validation": ([1, 2], [0.6, 0.4]),
        "F1": ([1, 2], [0.6, 0.7]),
    }
    assert list(left.get_xticks()) == [1, 2]


def test_compared_runs_have_their_own_curves_colours_and_markers():
    runs = {"Trainer": [epoch(1, 0.5, 0.6)], "by hand": [epoch(1, 0.4, 0.65), epoch(2, 0.3, 0.7)]}
    left, right = drawn(plot_epochs([], compare=runs)).axes
    assert [line.get_label() for line in right.lines] == ["Trainer", "by hand"]
    assert [list(line.get_ydata()) for line in right.lines] == [[0.6], [0.65, 0.7]]
    assert len(left.lines) == 4
    assert len({(to_hex(line.get_color()), line.get_marker()) for line in right.lines}) == 2
    assert len({line.get_marker() for line in right.lines}) == 2  # told apart without colour


def test_type_scores_are_bars_of_precision_recall_and_f1_with_the_number_below():
    scores = score_labels(
        [["B-ORG", "O", "B-MISC", "O", "B-MISC", "B-PER"]], [["B-ORG", "O", "O", "O", "B-MISC", "B-LOC"]]
    )
    (axis,) = drawn(plot_type_scores(scores.per_type)).axes
    assert tick_texts(axis) == ["LOC\n(0)", "MISC\n(2)", "ORG\n(1)", "PER\n(1)"]
    assert bars(axis) == {
        "precision": [0.0, 1.0, 1.0, 0.0],
        "recall": [0.0, 0.5, 1.0, 0.0],
        "f1": [0.0, pytest.approx(2 / 3), 1.0, 0.0],
    }
    assert axis.get_ylim() == (0.0, 1.0)


def test_many_types_are_named_upright_under_their_bars():
    counts = {"train": {f"type-{i}": i + 1 for i in range(24)}}
    (axis,) = drawn(plot_label_counts(counts)).axes
    assert len(tick_texts(axis)) == 24
    assert {tick.get_rotation() for tick in axis.get_xticklabels()} == {90}
    boxes = [tick.get_window_extent() for tick in axis.get_xticklabels()]
    assert all(left.x1 <= right.x0 + 1 for left, right in pairwise(boxes))


def test_figures_have_a_white_ground_for_dark_pages_and_four_distinct_series():
    assert to_hex(plot_sentence_lengths({"a": [1, 2]}).get_facecolor()) == "#ffffff"
    assert len(set(SERIES)) == 4
