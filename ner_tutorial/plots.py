"""The pictures of the book. Each function draws with matplotlib and returns the figure.

Colours are Okabe and Ito's, told apart by colour-blind readers; each series also has its own marker, hatch or label.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import cycle

BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#999999"
SERIES = (BLUE, ORANGE, GREEN, PINK)
HATCHES = ("", "//", "..", "xx")
KINDS_ACROSS = 10  # entity types that fit side by side; more of them are set upright


def _axes(width: float = 7.0, height: float = 3.4, columns: int = 1):
    import matplotlib.pyplot as plt

    # A white ground of its own keeps dark text readable on a dark page.
    figure, axes = plt.subplots(1, columns, figsize=(width, height), layout="constrained", facecolor="white")
    for axis in [axes] if columns == 1 else axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _name_kinds(axis, labels: Sequence[str]) -> None:
    """Write the entity types under the bars; many of them upright, so that they do not run into each other."""
    axis.set_xticks(range(len(labels)), labels, rotation=90 if len(labels) > KINDS_ACROSS else 0)


def _width_for(kinds: Sequence[str]) -> float:
    return max(7.0, 0.35 * len(kinds))


def plot_label_counts(counts: Mapping[str, Mapping[str, int]], ylabel: str = "share of the split's mentions"):
    """Grouped bars: the share of each entity type in each split.

    Args:
        counts: split name to entity type to number of mentions.
    """
    kinds = sorted({kind for row in counts.values() for kind in row})
    figure, axis = _axes(_width_for(kinds))
    width = 0.8 / len(counts)
    for index, (split, row) in enumerate(counts.items()):
        total = sum(row.values()) or 1
        places = [i + (index - (len(counts) - 1) / 2) * width for i in range(len(kinds))]
        axis.bar(
            places, [row.get(kind, 0) / total for kind in kinds], width, label=split,
            color=SERIES[index % 4], hatch=HATCHES[index % 4], edgecolor="white",
        )  # fmt: skip
    _name_kinds(axis, kinds)
    axis.set_ylabel(ylabel)
    axis.legend(frameon=False)
    return figure


def plot_sentence_lengths(
    lengths: Mapping[str, Sequence[int]], xlabel: str = "words in a sentence", bin_width: int = 3
):
    """Step histograms of sentence lengths, one per split, as shares of the split."""
    figure, axis = _axes()
    top = max(max(values) for values in lengths.values())
    edges = list(range(0, top + bin_width + 1, bin_width))
    for (name, values), colour, style in zip(lengths.items(), cycle(SERIES), cycle(("-", "--", ":", "-."))):
        axis.hist(values, edges, weights=[1 / len(values)] * len(values), histtype="step", color=colour, linestyle=style,
                  linewidth=1.8, label=name)  # fmt: skip
    axis.set_xlabel(xlabel)
    axis.set_ylabel("share of sentences")
    axis.legend(frameon=False)
    return figure


def plot_padding(lengths_by_batch: Mapping[str, Sequence[Sequence[int]]]):
    """Batches as grids: a dark cell is a token, a light one is padding. One panel per way of making batches.

    Args:
        lengths_by_batch: title to batches, each a list of row lengths in tokens.
    """
    import numpy as np
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    figure, axes = _axes(7.4, 3.6, columns=len(lengths_by_batch))
    axes = [axes] if len(lengths_by_batch) == 1 else axes
    colours = ListedColormap(["white", "#f3d9a4", BLUE])
    widest = max(max(batch) for batches in lengths_by_batch.values() for batch in batches)
    for axis, (title, batches) in zip(axes, lengths_by_batch.items(), strict=True):
        rows = []
        for batch in batches:
            for length in batch:
                row = np.zeros(widest)
                row[: max(batch)] = 1
                row[:length] = 2
                rows.append(row)
            rows.append(np.zeros(widest))
        axis.imshow(np.array(rows[:-1]), cmap=colours, vmin=0, vmax=2, aspect="auto", interpolation="none")
        share = 1 - sum(map(sum, batches)) / sum(len(batch) * max(batch) for batch in batches)
        axis.set_title(f"{title}\n{share:.0%} padding", fontsize=10)
        axis.set_xlabel("position in the row")
        axis.set_yticks([])
    axes[0].set_ylabel("rows, batch by batch")
    handles = [Patch(color=BLUE, label="token"), Patch(color="#f3d9a4", label="padding")]
    figure.legend(handles=handles, frameon=False, loc="outside lower center", ncols=2)
    return figure


def plot_epochs(epochs: Sequence, compare: Mapping[str, Sequence] | None = None):
    """Loss and F1 over the epochs of one run, or of several: ``compare`` maps a name to the epochs of a run."""
    runs = compare or {"": epochs}
    figure, (left, right) = _axes(7.4, 3.2, columns=2)
    for (name, rows), colour, marker in zip(runs.items(), cycle(SERIES), cycle("osv^D*P")):
        x = [row.epoch for row in rows]
        tail = f", {name}" if name else ""
        left.plot(x, [row.train_loss for row in rows], "--", color=colour, marker=marker, label=f"training{tail}")
        left.plot(x, [row.eval_loss for row in rows], "-", color=colour, marker=marker, label=f"validation{tail}")
        right.plot(x, [row.f1 for row in rows], "-", color=colour, marker=marker, label=name or "F1")
    for axis, label in ((left, "loss"), (right, "validation F1")):
        axis.set_xlabel("epoch")
        axis.set_ylabel(label)
        axis.set_xticks(sorted({row.epoch for rows in runs.values() for row in rows}))
        axis.legend(frameon=False, fontsize=8)
    return figure


def plot_type_scores(per_type: Mapping[str, object]):
    """Precision, recall and F1 of each entity type as grouped bars."""
    kinds = sorted(per_type)
    figure, axis = _axes(_width_for(kinds))
    for index, name in enumerate(("precision", "recall", "f1")):
        axis.bar(
            [i + (index - 1) * 0.27 for i in range(len(kinds))], [getattr(per_type[kind], name) for kind in kinds], 0.27,
            label=name, color=SERIES[index], hatch=HATCHES[index], edgecolor="white",
        )  # fmt: skip
    _name_kinds(axis, [f"{kind}\n({per_type[kind].number})" for kind in kinds])
    axis.set_ylim(0, 1)
    axis.set_ylabel("score")
    figure.legend(frameon=False, loc="outside upper center", ncols=3)
    return figure


def mention_counts(corpus) -> dict[str, Counter]:
    """Split name to entity type to number of mentions, for ``plot_label_counts``."""
    from ner_tutorial.baselines import mentions

    return {split: Counter(kind for _, kind in mentions(rows)) for split, rows in corpus.items()}
