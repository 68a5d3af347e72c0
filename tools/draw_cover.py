"""Draw the book's cover, `_static/cover.png`: the picture that a shared link shows. `python tools/draw_cover.py`."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch

from ner_tutorial.display import TYPE_COLOURS

OUT = Path(__file__).resolve().parent.parent / "_static" / "cover.png"
WIDTH, HEIGHT = 1200, 630  # pixels, the size that shared links are shown in
BACK, PAPER, FAINT = "#14324d", "#ffffff", "#9fb4c7"
SENTENCE = [  # a word or a name of several, and its type
    [("Maria Ravel", "PER"), ("of the", ""), ("Harbour Bank", "ORG")],
    [("flew from", ""), ("Oslo", "LOC"), ("to meet", ""), ("Danish", "MISC"), ("officials.", "")],
]


def _line(axes, words: list[tuple[str, str]], y: float) -> None:
    """Write one line of words at the height ``y``, and under each name a band with its type."""
    x, space = 80.0, 22
    for text, kind in words:
        word = axes.text(x, y, text, color="#1a1a1a" if kind else PAPER, fontsize=36, va="center", zorder=3)
        box = word.get_window_extent(axes.figure.canvas.get_renderer())
        if kind:
            colour = TYPE_COLOURS[kind]
            axes.add_patch(
                FancyBboxPatch((x - 2, y - 34), box.width + 4, 68, "round,pad=8,rounding_size=14", fc=colour, lw=0)
            )
            axes.text(
                x + box.width / 2, y - 66, kind, color=colour, fontsize=19, weight="bold", ha="center", va="center"
            )
        x += box.width + space + (8 if kind else 0)


def draw(path: Path = OUT) -> Path:
    """Write the cover to ``path``, 1200 by 630 pixels."""
    with plt.rc_context({"font.family": "DejaVu Sans"}):
        figure = plt.figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=100, facecolor=BACK)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
        axes.axis("off")
        axes.text(78, 540, "Fine-tuning a transformer for NER", color=PAPER, fontsize=38, weight="bold", va="center")
        axes.text(80, 478, "from raw sentences to a score that you can defend", color=FAINT, fontsize=22, va="center")
        for line, y in zip(SENTENCE, (340, 180), strict=True):
            _line(axes, line, y)
        axes.text(80, 52, "a hands-on book, on a laptop", color=FAINT, fontsize=19, va="center")
        figure.savefig(path, metadata={"Software": None})
        plt.close(figure)
    return path


if __name__ == "__main__":
    print(draw())
