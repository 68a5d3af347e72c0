"""The chapters in the full profile, by environment variables alone, against a Hub on the loopback.

Slow: chapters 5 to 7 train. The corpus has 60 sentences and the model two layers, so what is tested is that every cell runs,
not what it finds. Each chapter runs in a process of its own, which is forked from one that has the libraries loaded: a
kernel would load them again each time. Kernels run the chapters in the quick profile (``make nbval``).
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import HubServer, client_environment, closed_port
from miniature import parquet_files, write_bert, write_original

BOOK = Path(__file__).resolve().parent.parent / "book"
CHAPTERS = sorted(path.stem for path in BOOK.glob("[0-9]*.ipynb"))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS)

# Reads the path of a notebook per line, runs its cells in a fork of itself, and answers with the fork's exit status.
# Cells that the page hides check the numbers that real data give everywhere; a miniature has others.
RUNNER = """
import os, sys
import accelerate, datasets, evaluate, matplotlib.pyplot, nbformat, seqeval.metrics, transformers.trainer
import transformers.models.bert.modeling_bert
import ner_tutorial.training
from IPython.core.interactiveshell import InteractiveShell

out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
for line in sys.stdin:
    path = line.strip()
    child = os.fork()
    if not child:
        status = 1
        try:
            shell = InteractiveShell.instance()
            for cell in nbformat.read(path, as_version=4).cells:
                if cell.cell_type == "code" and "remove-cell" not in cell.metadata.get("tags", []):
                    shell.run_cell(cell.source).raise_error()
            status = 0
        finally:
            sys.stdout.flush()
            os._exit(status)
    print(os.waitpid(child, 0)[1], file=out, flush=True)
"""


class Runner:
    """A program that runs chapters, in one environment."""

    def __init__(self, folder: Path, environment: dict[str, str]):
        self.log = folder / "cells.txt"
        with self.log.open("wb") as log:
            self.program = subprocess.Popen(
                [sys.executable, "-c", RUNNER], env=environment | {"MPLBACKEND": "agg"}, cwd=BOOK, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
            )  # fmt: skip

    def run(self, chapter: str) -> None:
        """Run the cells of a chapter; the notebook on disk stays as it is."""
        before = self.log.stat().st_size
        self.program.stdin.write(f"{BOOK / chapter}.ipynb\n")
        self.program.stdin.flush()
        answer = self.program.stdout.readline()
        assert answer == "0\n", self.log.read_bytes()[before:][-6000:].decode(errors="replace")

    def close(self) -> None:
        if self.program.poll() is None:
            os.killpg(self.program.pid, signal.SIGKILL)  # with a chapter that a time limit has left behind
        self.program.communicate()


@pytest.fixture(scope="module")
def from_the_hub(tmp_path_factory):
    """What a reader on Colab has: the profile's name and a network."""
    folder = tmp_path_factory.mktemp("full")
    with HubServer() as hub:
        hub.add("dataset", "lhoestq/conll2003", parquet_files())
        hub.add_folder("model", "bert-base-cased", write_bert(folder / "bert"))
        runner = Runner(folder, hub.environment(folder, NER_TUTORIAL_PROFILE="full"))
        yield runner
        runner.close()


@pytest.fixture(scope="module")
def from_folders(tmp_path_factory):
    """What a reader with the original files and no network has: three variables, a closed port for a Hub."""
    folder = tmp_path_factory.mktemp("local")
    environment = client_environment(
        f"http://127.0.0.1:{closed_port()}",
        folder,
        NER_TUTORIAL_PROFILE="full",
        NER_TUTORIAL_CORPUS=str(write_original(folder / "conll2003")),
        NER_TUTORIAL_CHECKPOINT=str(write_bert(folder / "bert-base-cased", tokenizer_files=False)),
    )
    runner = Runner(folder, environment)
    yield runner
    runner.close()


@each_chapter
def test_slow_chapter_runs_in_the_full_profile_from_the_hub(chapter, from_the_hub):
    from_the_hub.run(chapter)


@pytest.mark.parametrize("chapter", ["01_data_inspection", "07_pipeline"])
def test_slow_chapter_runs_in_the_full_profile_from_local_folders(chapter, from_folders):
    from_folders.run(chapter)
