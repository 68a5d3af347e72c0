"""The lowest versions, the workflows and the Makefile say the same; a workflow may do no more than it needs."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def lowest() -> dict[str, Version]:
    lines = (ROOT / "constraints-lowest.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def requirements() -> list[Requirement]:
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    return [Requirement(line) for line in [*PROJECT["dependencies"], *extras]]


def test_lowest_versions_are_the_lower_bounds():
    tried = lowest()
    for requirement in requirements():
        name = canonicalize_name(requirement.name)
        bounds = [Version(spec.version) for spec in requirement.specifier if spec.operator == ">="]
        assert name in tried, f"{name} is missing in constraints-lowest.txt"
        # torch stays at the version that pip finds for the processor; see the head of the file.
        if bounds and name != "torch":
            assert tried[name] == bounds[0], f"{name}: {tried[name]} is tried, {bounds[0]} is allowed"
    assert tried["torch"] == Version("2.13.0")


def test_lowest_versions_are_all_requirements():
    assert set(lowest()) == {canonicalize_name(requirement.name) for requirement in requirements()}


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(path: Path) -> list[dict]:
    return [step for job in read(path)["jobs"].values() for step in job["steps"]]


def test_every_python_of_the_package_is_tested():
    pythons = read(ROOT / ".github/workflows/test.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]
    named = {line.rsplit(" ", 1)[1] for line in PROJECT["classifiers"] if "Python :: 3." in line}
    assert set(pythons) == named
    assert all(SpecifierSet(PROJECT["requires-python"]).contains(version) for version in pythons)


@each_workflow
def test_workflows_run_targets_that_make_knows(path):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    called = [target for step in steps(path) for target in re.findall(r"\bmake ([\w-]+)", step.get("run", ""))]
    for target in called:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
    assert called


@each_workflow
def test_workflows_have_no_secrets_and_few_rights(path):
    content = read(path)
    assert "secrets." not in path.read_text(encoding="utf-8")
    assert content["permissions"] == {"contents": "read"}
    for name, job in content["jobs"].items():
        allowed = {"pages": "write", "id-token": "write"} if (path.stem, name) == ("publish", "deploy") else None
        assert job.get("permissions") == allowed, name
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
        # A whole release, not v4: that tag is moved to each new one.
        assert re.fullmatch(r"actions/[\w-]+@v\d+\.\d+\.\d+", step.get("uses", "actions/none@v1.0.0"))


def test_only_the_main_branch_is_published():
    triggers = read(ROOT / ".github/workflows/publish.yml")[True]  # YAML 1.1 reads the key "on" as true
    assert triggers == {"push": {"branches": ["main"]}, "workflow_dispatch": None}


def test_nothing_is_published_before_the_tests_have_passed():
    jobs = read(ROOT / ".github/workflows/publish.yml")["jobs"]
    commands = [step.get("run", step.get("uses", "")) for step in jobs["build"]["steps"]]
    tested = next(i for i, command in enumerate(commands) if "make test" in command)
    assert tested < next(i for i, command in enumerate(commands) if "upload-pages-artifact" in command)
    assert jobs["deploy"]["needs"] == "build"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^test:.*\bbook\b", makefile, flags=re.MULTILINE), "make test ends with the book"


def test_the_published_model_is_trained_again_when_what_it_is_made_of_changes():
    """The key of the workflow's cache covers the corpus, the code that trains, and the versions of what it uses."""
    steps = read(ROOT / ".github/workflows/publish.yml")["jobs"]["build"]["steps"]
    (kept,) = (step["with"] for step in steps if step.get("uses", "").startswith("actions/cache@"))
    globs = re.findall(r"'([^']+)'", kept["key"])
    covered = {path for pattern in globs for path in ROOT.glob(re.sub(r"\*\*$", "**/*", pattern))}
    package = ROOT / "ner_tutorial"
    needed = [
        *(path for path in (package / "data" / "newswire").rglob("*") if path.is_file()),
        *(package / "training").glob("*.py"),
        *(package / "fast").glob("*.py"),
        package / "profiles.py",
        ROOT / "constraints.txt",
    ]
    assert len(needed) > 10
    assert [path for path in needed if path not in covered] == []
    runs = [step.get("run", "") for step in steps]
    assert next(i for i, run in enumerate(runs) if "make live SERVE=no" in run) < next(
        i for i, run in enumerate(runs) if "make test" in run
    )
