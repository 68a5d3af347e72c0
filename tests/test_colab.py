"""On Colab the first code cell of a notebook installs the package, and nothing else; elsewhere it does nothing."""

import re
import shlex
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from miniature import CHAPTERS, first_code_cell

ROOT = Path(__file__).resolve().parent.parent
HTML = ROOT / "_build" / "html"
LESSONS = [ROOT / "book" / "intro.ipynb", *CHAPTERS]
each_chapter = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


@pytest.fixture
def commands(monkeypatch, tmp_path):
    """``commands(code)`` runs a cell in an IPython shell and returns the magics and shell commands that it called."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    called: list[tuple[str, str]] = []
    monkeypatch.setattr(shell, "run_line_magic", lambda name, line, *_, **__: called.append((name, line)))
    monkeypatch.setattr(shell, "run_cell_magic", lambda name, line, *_: called.append((name, line)))
    monkeypatch.setattr(shell, "system", lambda line: called.append(("!", line)))
    monkeypatch.setattr(shell, "getoutput", lambda line, *_: called.append(("!!", line)))

    def run(code: str) -> list[tuple[str, str]]:
        called.clear()
        shell.run_cell(code, store_history=False).raise_error()
        return list(called)

    return run


@pytest.fixture
def colab(monkeypatch):
    """A stand-in for the module that only Colab has."""
    for name in ("google", "google.colab"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys.modules["google"], "colab", sys.modules["google.colab"], raising=False)


@each_chapter
def test_on_colab_one_pip_command_installs_the_package_and_leaves_torch_alone(path, commands, colab):
    called = commands(first_code_cell(path))
    assert len(called) == 1
    magic, line = called[0]
    assert magic == "pip"
    words = shlex.split(line)
    assert words[0] == "install"
    wanted = [word for word in words[1:] if not word.startswith("-")]
    assert any(re.match(r"ner-tutorial\b", word) for word in wanted)
    assert not any(re.match(r"torch\b", word) for word in wanted)
    # Colab's own versions stay where they fit: nothing is upgraded or forced, and nothing of pip's error is hidden.
    assert not {"-U", "--upgrade", "--force-reinstall", "-qq", "-qqq", "--no-deps", "--ignore-installed"} & set(words)
    assert "==" not in line


@each_chapter
def test_on_colab_a_release_is_installed_from_the_address_of_the_configuration(path, commands, colab):
    """The main branch may change under a reader; a release does not."""
    ((_, line),) = commands(first_code_cell(path))
    address = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"ner-tutorial @ git+{address}@v{version}" in shlex.split(line)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "placeholder" in readme
    assert f"git tag v{version}" in readme


@each_chapter
def test_elsewhere_the_cell_does_nothing(path, commands, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "google.colab", None)  # import raises ImportError
    assert commands(first_code_cell(path)) == []
    assert capsys.readouterr() == ("", "")


def test_the_cell_is_the_same_in_every_chapter():
    assert len({first_code_cell(path) for path in LESSONS}) == 1


class _Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


@each_chapter
def test_launch_button_of_the_built_page_opens_the_right_notebook(path):
    page = HTML / "book" / f"{path.stem}.html"
    if not page.is_file():
        pytest.skip(f"{page.relative_to(ROOT)} is not built; `make book` builds it")
    if page.stat().st_mtime < (ROOT / "_config.yml").stat().st_mtime:
        pytest.skip(f"{page.relative_to(ROOT)} is older than _config.yml; `make book` builds it again")
    links = _Links()
    links.feed(page.read_text(encoding="utf-8"))
    launch = {link for link in links.found if "colab.research.google.com" in link}
    address = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]
    name = address["url"].removeprefix("https://github.com/")
    assert launch == {f"https://colab.research.google.com/github/{name}/blob/{address['branch']}/book/{path.name}"}
    assert name == "ner-tutorial/ner-tutorial"
    assert address["branch"] == "main"
