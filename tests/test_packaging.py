"""pyproject.toml, constraints.txt, environment.yml and the public address agree with each other."""

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REALLY_USED = [
    "jupyter-book",
    "torch",
    "transformers",
    "datasets",
    "evaluate",
    "seqeval",
    "accelerate",
    "nbval",
    "matplotlib",
]


def constraints() -> dict[str, Version]:
    rows = [
        line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if line and line[0] != "#"
    ]
    pairs = [line.split("==") for line in rows]
    assert all(len(pair) == 2 for pair in pairs), "every constraint is exact"
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def requirements() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"]
    return [Requirement(line) for line in [*PROJECT["dependencies"], *extras["book"], *extras["test"], *extras["onnx"]]]


def test_every_requirement_has_an_exact_version_inside_its_range():
    exact = constraints()
    for requirement in requirements():
        name = canonicalize_name(requirement.name)
        assert name in exact, f"{name} is missing in constraints.txt"
        assert requirement.specifier.contains(exact[name]), f"{name}: {exact[name]} is not in {requirement.specifier}"


def test_ranges_stay_open_except_for_jupyter_book():
    for requirement in requirements():
        closed = any(spec.operator in ("<", "<=", "==", "~=") for spec in requirement.specifier)
        assert closed == (requirement.name == "jupyter-book"), requirement


def test_torch_is_pinned_to_the_build_that_pip_finds_for_the_cpu():
    assert constraints()["torch"] == Version("2.13.0")


def test_the_promised_packages_are_requirements():
    names = {canonicalize_name(requirement.name) for requirement in requirements()}
    assert set(REALLY_USED) <= names


def test_conda_environment_has_the_versions_of_constraints():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    pip_lines = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert "--constraint constraints.txt" in pip_lines
    assert "-e .[book,test,onnx]" in pip_lines
    pins = {canonicalize_name(n): Version(v) for n, v in (line.split("==") for line in pip_lines if "==" in line)}
    exact = constraints()
    assert {name: exact[name] for name in pins} == pins
    assert set(REALLY_USED) <= set(pins)


def tracked_text_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    binary = {".png", ".ico", ".woff2"}
    return [
        ROOT / name
        for name in listed.split("\0")
        if name and Path(name).suffix not in binary and (ROOT / name).is_file()
    ]


def test_the_public_address_is_the_one_in_the_configuration():
    address = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    assert address == "https://github.com/ner-tutorial/ner-tutorial"
    owner, name = address.rsplit("/", 2)[1:]
    pattern = re.compile(r"https?://(?:www\.)?github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?(?=[/\s\"'`)>#\]]|$)")
    others = set()
    for path in tracked_text_files():
        for found in pattern.finditer(path.read_text(encoding="utf-8", errors="replace")):
            if "tutorial" in found[2] and (found[1], found[2]) != (owner, name):
                others.add((path.name, found[0]))
    assert not others


IMPORT_ALL = """
import importlib, pkgutil, sys
from pathlib import Path
import ner_tutorial
here = Path(ner_tutorial.__file__).parent
assert here == Path(sys.argv[1]) / "ner_tutorial", here
modules = [module.name for module in pkgutil.walk_packages([str(here)], "ner_tutorial.")]
for name in modules:
    if not name.endswith("__main__"):
        importlib.import_module(name)
for name in ner_tutorial.__all__:
    getattr(ner_tutorial, name)
assert sum(map(len, ner_tutorial.load_corpus().values())) > 0
print(*sorted(modules))
"""


def test_the_wheel_holds_every_module_and_what_they_read(tmp_path):
    """Built, installed elsewhere, and imported whole: an editable install finds what a wheel has forgotten."""
    site = (
        tmp_path / "lib" / "site-packages"
    )  # dill, which datasets uses, takes other folders' modules for the user's own
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True
    )
    source = tmp_path / "source"  # a copy, for setuptools leaves its build folder in the source
    for name in listed.stdout.split("\0"):
        if name.startswith("ner_tutorial/") or name in ("pyproject.toml", "README.md"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    options = ["--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "wheel", *options, "--wheel-dir", tmp_path, source], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", site, wheel], check=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), sysconfig.get_paths()["purelib"]])}
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, site],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    package = ROOT / "ner_tutorial"
    files = [path.relative_to(package) for path in package.rglob("*.py") if "seqeval_metric" not in path.parts]
    names = {".".join(["ner_tutorial", *path.with_suffix("").parts]).removesuffix(".__init__") for path in files}
    assert names - {"ner_tutorial"} <= set(done.stdout.split()), "a module is missing in the wheel"
    for data in ("hub/model_card.md", "data/newswire/train.conll", "seqeval_metric/seqeval_metric.py"):
        if (package / data).is_file():
            assert (site / "ner_tutorial" / data).is_file(), data
