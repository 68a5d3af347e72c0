"""The first cell, run for real in a new virtual environment with a stand-in for Colab's module, installs the package."""

import json
import os
import subprocess
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest
import yaml
from miniature import CHAPTERS, first_code_cell

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent

RUN_CELL = """
import json, sys
from importlib.metadata import version
from IPython.core.interactiveshell import InteractiveShell
before = version("torch")
InteractiveShell.instance().run_cell(open(sys.argv[1]).read()).raise_error()
sys.path_importer_cache.clear()
import ner_tutorial
corpus = ner_tutorial.load_corpus()
print(json.dumps([ner_tutorial.__file__, len(corpus["test"]), before, version("torch")]))
"""


def version() -> str:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


@pytest.fixture
def environment(tmp_path):
    """(python, variables) of a new environment. What this one has installed stands for what Colab has installed.

    The address in the cell leads to a copy of this checkout with the release's tag: git replaces it, pip notices nothing.
    """
    if subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True).returncode:
        pytest.skip("pip installs from git here, and this copy is no git checkout")
    copy, release = tmp_path / "repository.git", f"v{version()}"
    subprocess.run(["git", "clone", "--quiet", "--bare", ROOT, copy], check=True)
    subprocess.run(["git", "tag", "--force", release, "HEAD"], cwd=copy, check=True, capture_output=True)
    home = tmp_path / "colab"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    if not python.exists():
        pytest.skip("virtual environments look different on this system")
    code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    site = Path(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip())
    stand_in = tmp_path / "modules" / "google" / "colab"
    stand_in.mkdir(parents=True)
    (stand_in / "__init__.py").touch()
    (stand_in.parent / "__init__.py").touch()
    address = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    variables = {
        **os.environ,
        # The new environment's own packages come before those of this one. A .pth file would also run the editable
        # install of this checkout; a plain path entry does not.
        "PYTHONPATH": os.pathsep.join([str(site), str(stand_in.parent.parent), sysconfig.get_paths()["purelib"]]),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{copy}.insteadOf",
        "GIT_CONFIG_VALUE_0": address,
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    return python, variables


def test_the_first_cell_installs_the_checkout_in_a_new_environment(environment, tmp_path):
    python, variables = environment
    cell = tmp_path / "cell.py"
    cell.write_text(first_code_cell(CHAPTERS[0]), encoding="utf-8")
    done = subprocess.run(
        [python, "-c", RUN_CELL, str(cell)], env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    where, sentences, before, after = json.loads(done.stdout.strip().splitlines()[-1])
    assert Path(where).is_relative_to(tmp_path / "colab"), "the package was imported from elsewhere"
    assert sentences > 0
    assert before == after, "the cell changed torch"


def test_pips_own_error_is_shown(environment, tmp_path):
    python, variables = environment
    variables = {**variables, "GIT_CONFIG_KEY_0": f"url.file://{tmp_path}/nothing-here.insteadOf"}
    cell = tmp_path / "cell.py"
    cell.write_text(first_code_cell(CHAPTERS[0]), encoding="utf-8")
    code = (
        "import sys; from IPython.core.interactiveshell import InteractiveShell; "
        "InteractiveShell.instance().run_cell(open(sys.argv[1]).read())"
    )
    done = subprocess.run(
        [python, "-c", code, str(cell)], env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert "nothing-here" in done.stdout + done.stderr
