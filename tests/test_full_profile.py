"""The chapters in the full profile, by environment variables alone, against a Hub on the loopback.

Slow: a kernel starts for each, and chapters 5 to 7 train. The corpus has 60 sentences and the model two layers, so what is
tested is that every cell runs, not what it finds.
"""

from pathlib import Path

import nbformat
import pytest
from hub_server import HubServer, client_environment, closed_port
from miniature import parquet_files, write_bert, write_original

BOOK = Path(__file__).resolve().parent.parent / "book"
CHAPTERS = sorted(path.stem for path in BOOK.glob("[0-9]*.ipynb"))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS)


def run(chapter: str, environment: dict[str, str]) -> None:
    """Run a chapter in a kernel of its own; the notebook on disk stays as it is."""
    from nbclient import NotebookClient

    path = BOOK / f"{chapter}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(BOOK)}})
    # Cells that the page hides check the numbers that real data give everywhere; a miniature has others.
    notebook.cells = [cell for cell in notebook.cells if "remove-cell" not in cell.metadata.get("tags", [])]
    client.execute(env=environment)


@pytest.fixture(scope="module")
def from_the_hub(tmp_path_factory):
    """What a reader on Colab has: the profile's name and a network."""
    folder = tmp_path_factory.mktemp("full")
    with HubServer() as hub:
        hub.add("dataset", "lhoestq/conll2003", parquet_files())
        hub.add_folder("model", "bert-base-cased", write_bert(folder / "bert"))
        yield hub.environment(folder, NER_TUTORIAL_PROFILE="full")


@pytest.fixture(scope="module")
def from_folders(tmp_path_factory):
    """What a reader with the original files and no network has: three variables, a closed port for a Hub."""
    folder = tmp_path_factory.mktemp("local")
    return client_environment(
        f"http://127.0.0.1:{closed_port()}",
        folder,
        NER_TUTORIAL_PROFILE="full",
        NER_TUTORIAL_CORPUS=str(write_original(folder / "conll2003")),
        NER_TUTORIAL_CHECKPOINT=str(write_bert(folder / "bert-base-cased", tokenizer_files=False)),
    )


@each_chapter
def test_slow_chapter_runs_in_the_full_profile_from_the_hub(chapter, from_the_hub):
    run(chapter, from_the_hub)


@pytest.mark.parametrize("chapter", ["01_data_inspection", "07_pipeline"])
def test_slow_chapter_runs_in_the_full_profile_from_local_folders(chapter, from_folders):
    run(chapter, from_folders)
