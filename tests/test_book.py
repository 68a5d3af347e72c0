"""The notebooks were run in order and show nothing of the machine; pages, files and tables agree."""

import itertools
import json
import re
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
NOTEBOOKS = sorted(BOOK.glob("*.ipynb"))
INTRO = BOOK / "intro.ipynb"
CHAPTERS = [path for path in NOTEBOOKS if path.name[:2].isdigit()]

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
# The introduction is a notebook too: what holds for a chapter's cells holds for its cells.
each_lesson = pytest.mark.parametrize("path", [INTRO, *CHAPTERS], ids=lambda path: path.stem)


def read(path: Path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def code_cells(path: Path) -> list:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def markdown(path: Path) -> str:
    return "\n\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


def tags(cell) -> set[str]:
    return set(cell.metadata.get("tags", []))


def test_the_seven_chapters_are_there():
    assert [path.stem for path in CHAPTERS][:7] == [
        "01_data_inspection", "02_label_alignment", "03_collation", "04_metrics", "05_trainer", "06_accelerate", "07_pipeline",
    ]  # fmt: skip


@each_notebook
def test_every_code_cell_was_run_in_order(path):
    counts = [cell.execution_count for cell in code_cells(path)]
    assert counts == list(range(1, len(counts) + 1))


@each_notebook
def test_no_cell_shows_an_error_or_writes_to_standard_error(path):
    for cell in code_cells(path):
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", cell.source


@each_notebook
def test_no_output_names_a_place_on_a_machine(path):
    place = re.compile(r"/(?:home|root|work|Users|tmp|private|var|content)/|[A-Z]:\\\\|0x[0-9a-f]{6,}")
    for cell in code_cells(path):
        for output in cell.outputs:
            data = output.get("data", {})
            texts = [output.get("text", ""), *(data[kind] for kind in data if not kind.startswith("image/"))]
            for text in texts:
                assert not place.search(str(text)), (cell.source, place.search(str(text))[0])


@each_notebook
def test_a_checked_cell_follows_cells_whose_output_is_ignored(path):
    """Digits that differ by machine are shown, and what must hold everywhere is checked in the next cell."""
    unchecked = None
    for cell in code_cells(path):
        assert not tags(cell) & {"nbval-skip", "raises-exception"}
        if "nbval-ignore-output" in tags(cell):
            unchecked = cell.source
        elif unchecked is not None:
            asserts = "remove-cell" in tags(cell) and "assert " in cell.source
            assert asserts or cell.outputs, f"the cell after this one must check what it shows:\n{unchecked}"
            unchecked = None
    assert unchecked is None, unchecked


SHOWN_NUMBERS = {"intro": 3, "05_trainer": 8, "06_accelerate": 2}
SAYS_TRUE_OR_FALSE = re.compile(r"(?<![=\w])(True|False)\b")


@pytest.mark.parametrize("stem", SHOWN_NUMBERS)
def test_the_lesson_shows_numbers(stem):
    ignored = [cell for cell in code_cells(BOOK / f"{stem}.ipynb") if "nbval-ignore-output" in tags(cell)]
    assert len(ignored) >= SHOWN_NUMBERS[stem]


def test_few_lines_that_a_reader_sees_say_true_or_false():
    """A reader waits for a loss or a score. That something is as hoped is checked in cells that the page hides."""
    lines = []
    for path in [INTRO, *CHAPTERS]:
        for cell in code_cells(path):
            if "remove-cell" not in tags(cell):
                texts = [str(o.get("text", "") or o.get("data", {}).get("text/plain", "")) for o in cell.outputs]
                lines += [
                    (path.stem, line) for line in "\n".join(texts).splitlines() if SAYS_TRUE_OR_FALSE.search(line)
                ]
    assert len(lines) <= 25, lines


STANDARD = {
    "intro": ["AutoTokenizer.from_pretrained", "AutoModelForTokenClassification.from_pretrained", "Trainer(", "pipeline("],
    "05_trainer": [
        "AutoTokenizer.from_pretrained", "AutoModelForTokenClassification.from_pretrained", "id2label=", "label2id=",
        "TrainingArguments(", "compute_metrics=compute_metrics", "evaluate.load(", "Trainer(", "save_model(",
        "AutoModelForTokenClassification.from_pretrained(folder)", "pipeline(",
    ],
    "06_accelerate": [
        "torch.optim.AdamW(", "output.loss.backward()", "clip_grad_norm_", "optimizer.step()", "schedule.step()",
        "optimizer.zero_grad()", "accelerator.prepare(", "accelerator.backward(", "gather_for_metrics", "load_state(",
    ],
}  # fmt: skip


@pytest.mark.parametrize("stem", STANDARD)
def test_the_standard_interface_is_in_sight(stem):
    shown = "\n".join(
        c.source for c in code_cells(BOOK / f"{stem}.ipynb") if not tags(c) & {"remove-cell", "hide-input"}
    )
    for call in STANDARD[stem]:
        assert call in shown, call


def test_the_loop_by_hand_imports_no_line_that_its_chapter_is_about():
    source = "\n".join(cell.source for cell in code_cells(BOOK / "06_accelerate.ipynb"))
    package = set(re.findall(r"^from (ner_tutorial\S*) import (.+)$", source, re.MULTILINE))
    names = {name.strip() for _, line in package for name in line.split(",")}
    assert names <= {
        "get_profile", "load_corpus", "resolve_checkpoint", "chapter_folder", "draw_two_processes", "check", "progress",
    }  # fmt: skip


def test_sharing_is_taught_in_one_chapter():
    sharing = [path.stem for path in CHAPTERS if any("upload_folder(" in c.source for c in code_cells(path))]
    assert sharing == ["05_trainer"]


@each_chapter
def test_a_chapter_opens_and_closes_the_same_way(path):
    text = markdown(path)
    opening = read(path).cells[0].source
    for phrase in ("What you will be able to do", "What you need first", "How long it takes"):
        assert phrase in opening, phrase
    for phrase in ("What to remember", "Recall questions", "What next"):
        assert phrase in text, phrase


@each_lesson
def test_headings_start_at_one_and_skip_no_level(path):
    fenced = re.sub(r"```.*?```", "", markdown(path), flags=re.DOTALL)
    levels = [len(found) for found in re.findall(r"^(#+) ", fenced, flags=re.MULTILINE)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))


@each_lesson
def test_a_chapter_has_a_picture_and_every_picture_has_alt_text(path):
    drawn = [cell for cell in code_cells(path) if any("image/png" in o.get("data", {}) for o in cell.outputs)]
    assert drawn
    for cell in drawn:
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        assert len(alt) > 30, cell.source


@each_lesson
def test_cells_are_short(path):
    for cell in code_cells(path):
        assert len(cell.source.splitlines()) <= 30, cell.source


@each_notebook
def test_no_line_of_code_is_wider_than_the_page(path):
    """The page has room for 92 characters on a laptop, and for 88 where a cell is hidden (tests/test_pages.py)."""
    for cell in code_cells(path):
        most = 88 if tags(cell) & {"hide-input", "hide-cell"} else 92
        assert [line for line in cell.source.splitlines() if len(line) > most] == []


@each_lesson
def test_text_reads_well_where_directives_show_as_text(path):
    assert not re.search(r"^(?:```|:::)\{|\{(?:ref|numref|cite|doc|term)\}`", markdown(path), flags=re.MULTILINE)


@each_notebook
def test_no_notebook_branches_on_the_profile_or_touches_a_token(path):
    source = "\n".join(cell.source for cell in code_cells(path))
    assert not re.search(r"profile\.name\s*(==|!=|in)\s", source)
    assert not re.search(r"hf_[A-Za-z0-9]{10,}|HF_TOKEN|notebook_login|\btoken\s*=", source)


@each_lesson
def test_the_first_code_cell_sets_up_on_colab_and_nowhere_else(path):
    cell = code_cells(path)[0]
    assert "import google.colab" in cell.source
    pip_lines = [line.strip() for line in cell.source.splitlines() if "pip" in line]
    assert len(pip_lines) == 1
    assert pip_lines[0].startswith("%pip install")
    assert "torch" not in pip_lines[0]
    assert not cell.outputs


def pages_in_toc() -> list[str]:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return [toc["root"], *(entry["file"] for part in toc["parts"] for entry in part["chapters"])]


def test_table_of_contents_and_files_agree():
    files = {
        str(path.relative_to(ROOT).with_suffix("")) for pattern in ("*.ipynb", "*.md") for path in BOOK.glob(pattern)
    }
    assert sorted(pages_in_toc()) == sorted(files)


@pytest.mark.parametrize("page", [ROOT / "README.md", INTRO], ids=lambda path: path.name)
def test_readme_and_introduction_list_every_chapter(page):
    text = markdown(page) if page == INTRO else page.read_text(encoding="utf-8")
    for path in CHAPTERS:
        assert path.name in text, f"{page.name} does not name {path.name}"
    named = set(re.findall(r"\b(\d\d_\w+)\.ipynb", text))
    assert named == {path.stem for path in CHAPTERS}


def test_links_between_pages_lead_somewhere():
    for path in [*NOTEBOOKS, *BOOK.glob("*.md")]:
        text = markdown(path) if path.suffix == ".ipynb" else path.read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_the_versions_named_on_the_page_of_changes_are_those_of_constraints():
    rows = re.findall(
        r"^\| `([\w-]+)` \| (\d[\w.]+)", (BOOK / "appendix_changes.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    pinned = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if "==" in line
    )
    assert len(rows) >= 8
    assert {name: pinned[name] for name, _ in rows} == dict(rows)


@each_notebook
def test_no_formula_needs_a_script_from_elsewhere(path):
    fenced = re.sub(r"```.*?```|`[^`]*`", "", markdown(path), flags=re.DOTALL)
    assert not re.search(r"\$\$|\$[^$\n]+\$|\\\(", fenced)


def test_the_status_page_shows_the_record_of_the_last_refresh():
    """A record written after the page was made would fail nbval minutes later, and say less."""
    record = json.loads((BOOK / "execution.json").read_text(encoding="utf-8"))
    assert set(record) == {path.name for path in NOTEBOOKS}
    outputs = [str(o.data["text/plain"]) for c in code_cells(BOOK / "status.ipynb") for o in c.outputs if "data" in o]
    shown = {
        found[0]: found[1:] for found in re.findall(r"^(\S+\.ipynb)\s+(\d+)\s+(\d+)", "\n".join(outputs), re.MULTILINE)
    }
    for name, row in record.items():
        if name != "status.ipynb":
            assert shown[name] == (str(row["seconds"]), str(row["peak_mb"])), name


def test_the_list_of_errors_names_each_number_once_and_the_files_that_test_it():
    rows = re.findall(r"^\| (\d+) \|.*\|(.+)\|$", markdown(BOOK / "appendix_errata.ipynb"), re.MULTILINE)
    assert sorted(int(number) for number, _ in rows) == list(range(1, 21))
    for number, place in rows:
        test = f"test_erratum_{int(number):02}_"
        assert f"`{test}*`" in place
        named = set(re.findall(r"`(test_\w+\.py)`", place))
        assert named == {
            path.name
            for path in (ROOT / "tests").glob("test_*.py")
            if f"def {test}" in path.read_text(encoding="utf-8")
        }, number
