"""What the build cuts from the theme: nothing that a page uses."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
pytest.importorskip("tinycss2")
pytest.importorskip("PIL")

from PIL import Image
from slim_site import names_in, slim, slim_figure, slim_styles

PAGE = '<p class="note wide"><i class="fa-solid fa-bars"></i></p>'


@pytest.mark.parametrize(
    ("styles", "slim"),
    [
        (".note{color:red}.gone{color:blue}", ".note{color:red}"),
        (".gone,.note{color:red}", ".note{color:red}"),
        (".note .gone{color:red}", ""),
        ("p.note.wide>b{color:red}", "p.note.wide>b{color:red}"),
        ("p{color:red}", "p{color:red}"),
        ("[data-x]:not(.gone){color:red}", "[data-x]:not(.gone){color:red}"),
        ("@media print{.gone{color:red}}", ""),
        ("@media print{.gone{color:red}.note{color:red}}", "@media print{.note{color:red}}"),
        ("@font-face{font-family:a}", "@font-face{font-family:a}"),
        (".note svg{width:1em}", ".note :is(svg,.fa-solid,.fa-regular,.fa-brands){width:1em}"),
        ('.note{background:url("a.svg")}', '.note{background:url("a.svg")}'),
    ],
)
def test_only_rules_for_classes_that_no_page_has_are_cut(styles, slim):
    assert slim_styles(styles, names_in([PAGE])) == slim


def test_a_class_that_a_script_sets_counts_as_used():
    assert slim_styles(".open{color:red}", names_in([PAGE, 'x.classList.add("open")'])) == ".open{color:red}"


def test_a_second_build_over_the_first_changes_nothing(tmp_path):
    styles = tmp_path / "_static" / "styles" / "sphinx-book-theme.css"
    script = tmp_path / "_static" / "scripts" / "fontawesome.js"
    for path in (styles, script):
        path.parent.mkdir(parents=True, exist_ok=True)
    styles.write_text(".note{color:red}.gone{color:blue}", encoding="utf-8")
    script.write_text("draw()", encoding="utf-8")
    (tmp_path / "index.html").write_text(PAGE, encoding="utf-8")
    slim(tmp_path)
    once = styles.read_text(encoding="utf-8")
    assert ".note" in once
    assert ".gone" not in once
    slim(tmp_path)
    assert styles.read_text(encoding="utf-8") == once


def test_a_figure_becomes_smaller_and_its_flat_colours_stay(tmp_path):
    import matplotlib.pyplot as plt
    from matplotlib.colors import to_rgb

    from ner_tutorial.plots import BLUE, SERIES

    figure, axis = plt.subplots(figsize=(7, 3))
    axis.bar(range(4), [1, 2, 3, 4], color=SERIES)
    axis.set_title("Four bars")
    path = tmp_path / "figure.png"
    figure.savefig(path, dpi=200)
    plt.close(figure)
    before, size = Image.open(path).convert("RGB"), path.stat().st_size
    slim_figure(path)
    after = Image.open(path).convert("RGB")
    assert path.stat().st_size < size / 1.5
    assert after.size == before.size
    colours = {colour for count, colour in after.getcolors() if count > 1000}
    assert {tuple(round(255 * part) for part in to_rgb(colour)) for colour in (BLUE, "white")} <= colours
    once = path.read_bytes()
    slim_figure(path)
    assert path.read_bytes() == once


def test_a_picture_with_transparent_parts_is_left_as_it_is(tmp_path):
    path = tmp_path / "figure.png"
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(path)
    before = path.read_bytes()
    slim_figure(path)
    assert path.read_bytes() == before
