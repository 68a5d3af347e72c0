"""The drawings that explain an idea: what a tagger does, what a training step does, how two processes share it.

Used in the introduction and in chapters 5 and 6. Nothing here depends on data: each function draws and returns a figure.
"""

from ner_tutorial.plots import BLUE, GREEN, GREY, ORANGE, PINK

# Light grounds under dark text; the edge has the full colour, so that the boxes differ in print as well.
PALE = {BLUE: "#dcebf5", ORANGE: "#fbeccb", GREEN: "#d5eee6", PINK: "#f6e4ee", GREY: "#eeeeee"}


def _canvas(width: float, height: float):
    """Axes without ticks or frame, measured in the units of the drawing. White ground: readable on a dark page."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(width * 0.72, height * 0.72), facecolor="white")
    figure.subplots_adjust(0, 0, 1, 1)
    axis.set(xlim=(0, width), ylim=(0, height), xticks=[], yticks=[])
    axis.axis("off")
    return figure, axis


def _box(axis, centre: tuple[float, float], size: tuple[float, float], text: str, colour: str = GREY) -> None:
    from matplotlib.patches import FancyBboxPatch

    corner = (centre[0] - size[0] / 2, centre[1] - size[1] / 2)
    style = "round,pad=0,rounding_size=0.08"
    axis.add_patch(
        FancyBboxPatch(corner, *size, boxstyle=style, facecolor=PALE[colour], edgecolor=colour, linewidth=1.4)
    )
    axis.text(*centre, text, ha="center", va="center", fontsize=9.5, color="black")


def _arrow(axis, start: tuple[float, float], end: tuple[float, float], bend: float = 0.0) -> None:
    line = {"arrowstyle": "-|>", "color": "#444444", "linewidth": 1.1, "connectionstyle": f"arc3,rad={bend}"}
    axis.annotate("", end, start, arrowprops=line)


def _note(axis, place: tuple[float, float], text: str, align: str = "left") -> None:
    axis.text(*place, text, ha=align, va="center", fontsize=9, color="#333333")


def draw_tagger():
    """From a text to spans: words, pieces, encoder, head, labels, spans."""
    figure, axis = _canvas(11.4, 6.6)
    columns = [2.4, 4.0, 5.1, 6.4, 7.9, 9.4]  # one for each piece
    pieces = ["maria", "rave", "##l", "flew", "from", "oslo"]
    labels = ["B-PER", "I-PER", "", "O", "O", "B-LOC"]
    rows = {"text": 6.1, "pieces": 5.1, "encoder": 4.0, "head": 2.9, "labels": 1.8, "spans": 0.7}
    for name, height in rows.items():
        axis.text(0.2, height, name, fontsize=10, fontweight="bold", va="center")
    words = {2.4: "Maria", 4.55: "Ravel", 6.4: "flew", 7.9: "from", 9.4: "Oslo"}
    for x, word in words.items():
        axis.text(x, rows["text"], word, ha="center", va="center", fontsize=11)
    parents = [2.4, 4.4, 4.7, 6.4, 7.9, 9.4]
    for x, parent, piece, label in zip(columns, parents, pieces, labels, strict=True):
        _arrow(axis, (parent, rows["text"] - 0.22), (x, rows["pieces"] + 0.28))
        _box(axis, (x, rows["pieces"]), (0.95, 0.5), piece, BLUE)
        _arrow(axis, (x, rows["pieces"] - 0.28), (x, rows["encoder"] + 0.38))
        _arrow(axis, (x, rows["encoder"] - 0.38), (x, rows["head"] + 0.3))
        if label:
            _arrow(axis, (x, rows["head"] - 0.3), (x, rows["labels"] + 0.28))
            _box(axis, (x, rows["labels"]), (0.95, 0.5), label, GREY if label == "O" else PINK)
    _box(
        axis,
        (5.9, rows["encoder"]),
        (8.0, 0.7),
        "pre-trained: one vector for each piece, computed from all pieces",
        GREEN,
    )
    _box(axis, (5.9, rows["head"]), (8.0, 0.55), "new: nine scores for each piece, one for each label", ORANGE)
    _arrow(axis, (2.4, rows["labels"] - 0.28), (3.0, rows["spans"] + 0.28))
    _arrow(axis, (4.0, rows["labels"] - 0.28), (3.4, rows["spans"] + 0.28))
    _arrow(axis, (9.4, rows["labels"] - 0.28), (9.4, rows["spans"] + 0.28))
    _box(axis, (3.2, rows["spans"]), (2.6, 0.5), "PER  Maria Ravel, 0 to 11", PINK)
    _box(axis, (9.2, rows["spans"]), (2.4, 0.5), "LOC  Oslo, 22 to 26", PINK)
    return figure


def draw_training_step():
    """What is trained (the encoder and the new head), and the six parts of one step."""
    figure, axis = _canvas(11.4, 5.6)
    axis.text(2.3, 5.25, "what is trained", fontsize=10, fontweight="bold", ha="center")
    _box(axis, (2.3, 4.5), (3.4, 0.6), "head: random at the start", ORANGE)
    _box(axis, (2.3, 3.55), (3.4, 0.75), "encoder, last layer", GREEN)
    _box(axis, (2.3, 2.6), (3.4, 0.75), "encoder, first layers", GREEN)
    _box(axis, (2.3, 1.65), (3.4, 0.75), "embeddings of the pieces", GREEN)
    for low, high in ((2.03, 2.22), (2.98, 3.17), (3.93, 4.2)):
        _arrow(axis, (2.3, low), (2.3, high))
    _note(axis, (2.3, 0.85), "green: weights from pre-training,\nchanged a little in every step", "center")
    axis.text(7.9, 5.25, "one step", fontsize=10, fontweight="bold", ha="center")
    places = [(5.7, 4.3), (9.8, 4.3), (9.8, 2.7), (9.8, 1.1), (5.7, 1.1), (5.7, 2.7)]
    steps = [
        ("1. a batch of\nsentences", BLUE), ("2. logits:\none score per label", GREEN), ("3. loss: how far\nfrom gold?", PINK),
        ("4. gradients\n(backward)", PINK), ("5. optimiser moves\nall weights", ORANGE), ("6. new learning rate,\ngradients to zero", GREY),
    ]  # fmt: skip
    for (text, colour), place in zip(steps, places, strict=True):
        _box(axis, place, (2.6, 0.95), text, colour)
    for start, end in (
        ((7.0, 4.3), (8.5, 4.3)), ((9.8, 3.82), (9.8, 3.18)), ((9.8, 2.22), (9.8, 1.58)),
        ((8.5, 1.1), (7.0, 1.1)), ((5.7, 1.58), (5.7, 2.22)), ((5.7, 3.18), (5.7, 3.82)),
    ):  # fmt: skip
        _arrow(axis, start, end)
    _note(axis, (7.75, 4.55), "model", "center")
    return figure


def draw_two_processes():
    """A training step and an evaluation on two processes: what each has of its own, and where they meet."""
    figure, axis = _canvas(11.4, 5.6)
    heights = {"process 0": 4.3, "process 1": 2.5}
    axis.text(3.3, 5.3, "a training step", fontsize=10, fontweight="bold", ha="center")
    axis.text(9.0, 5.3, "an evaluation", fontsize=10, fontweight="bold", ha="center")
    for number, (name, y) in enumerate(heights.items()):
        axis.text(0.1, y, name.replace(" ", "\n"), fontsize=9.5, fontweight="bold", va="center")
        _box(axis, (2.0, y), (1.5, 0.9), f"batch {'AB'[number]}", BLUE)
        _box(axis, (4.1, y), (1.6, 0.9), "same weights:\ngradients", GREEN)
        _arrow(axis, (2.78, y), (3.27, y))
        _arrow(axis, (4.1, y - 0.47 if number == 0 else y + 0.47), (4.1, 3.62 if number == 0 else 3.18))
        _box(axis, (8.0, y), (2.7, 0.9), f"predictions of batch {'CD'[number]},\npadded to one width", BLUE)
        _arrow(axis, (9.37, y), (10.05, 3.63 if number == 0 else 3.17))
    _box(axis, (4.1, 3.4), (2.9, 0.42), "mean of both gradients", PINK)
    _box(axis, (3.3, 1.0), (4.6, 0.75), "both optimisers take the same step,\nso the weights stay the same", ORANGE)
    _arrow(axis, (5.5, 3.25), (5.2, 1.4), -0.25)
    _box(axis, (10.4, 3.4), (1.6, 0.42), "gather", PINK)
    _box(axis, (9.0, 1.0), (4.2, 0.75), "rows that fill up the last batch are dropped:\ngather_for_metrics", ORANGE)
    _arrow(axis, (10.6, 3.17), (9.8, 1.4), -0.2)
    axis.plot([6.35, 6.35], [0.5, 5.2], color="#bbbbbb", linewidth=1, linestyle=":")
    return figure
