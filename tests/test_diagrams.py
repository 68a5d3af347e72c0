"""The drawings that explain an idea: every word is inside the picture, and inside its box."""

import matplotlib
import pytest
from matplotlib.patches import FancyBboxPatch

from ner_tutorial import diagrams

matplotlib.use("agg")
DRAWINGS = [diagrams.draw_tagger, diagrams.draw_training_step, diagrams.draw_two_processes]


@pytest.mark.parametrize("draw", DRAWINGS, ids=lambda draw: draw.__name__)
def test_no_text_leaves_the_picture_or_its_box(draw):
    import matplotlib.pyplot as plt

    figure = draw()
    renderer = figure.canvas.get_renderer()
    (axis,) = figure.axes
    boxes = [patch.get_window_extent(renderer) for patch in axis.patches if isinstance(patch, FancyBboxPatch)]
    texts = [text for text in axis.texts if text.get_text()]
    assert len(boxes) >= 8
    for text in texts:
        extent = text.get_window_extent(renderer)
        assert figure.bbox.x0 <= extent.x0, text
        assert extent.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= extent.y0, text
        assert extent.y1 <= figure.bbox.y1, text
        middle = (extent.x0 + extent.x1) / 2, (extent.y0 + extent.y1) / 2
        for box in boxes:
            if box.contains(*middle):
                assert box.x0 <= extent.x0, text
                assert extent.x1 <= box.x1, text
    plt.close(figure)


@pytest.mark.parametrize("draw", DRAWINGS, ids=lambda draw: draw.__name__)
def test_a_drawing_has_its_own_white_ground(draw):
    """Dark text stays readable on a dark page."""
    import matplotlib.pyplot as plt

    figure = draw()
    assert figure.get_facecolor() == (1.0, 1.0, 1.0, 1.0)
    plt.close(figure)


def test_the_drawing_of_a_tagger_shows_what_the_tokenizer_does():
    """The pieces and the positions in the picture are those of the book's encoder."""
    import matplotlib.pyplot as plt

    from ner_tutorial import load_tokenizer

    shown = {text.get_text() for text in diagrams.draw_tagger().axes[0].texts}
    plt.close("all")
    text = "Maria Ravel flew from Oslo"
    assert set(load_tokenizer("minilm").tokenize(text)) <= shown
    assert f"PER  Maria Ravel, 0 to {len('Maria Ravel')}" in shown
    start = text.index("Oslo")
    assert f"LOC  Oslo, {start} to {start + len('Oslo')}" in shown
