"""The layout of the package: which module may import which, how long a module and a signature may get, no logic twice."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

import ner_tutorial

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "ner_tutorial"
# The floor of the lesson, in the order of the chapters. A module imports only what stands before it.
TEACHING = [
    "labels", "tagging", "lines", "columns", "conll", "corpus_files", "tables", "parquet_rows", "corpus", "baselines",
    "display", "plots", "diagrams", "model_size", "model_folder", "characters", "words", "encoders", "alignment", "collation",
    "decoding", "metrics", "evaluation", "spans", "tagger", "text_check", "training", "errors", "annotation_formats",
    "annotation_files", "annotations", "importing", "lint", "exercises",
]  # fmt: skip
TRAINING = ["settings", "results", "checkpoints", "run_folder", "preparation", "scoring", "trainer", "loop"]
FOUNDATION = {"files", "profiles", "console"}
"""Plain helpers that every floor may use. They import nothing of the package."""
PLUMBING = {"hub", "notebook", "demo", "__main__"}
LEAVES = {"corpus", "encoders"}
"""Teaching modules that reach the Hub, each inside the one function that needs it."""
DOORS = {"fast", "fast.onnx_model"}
"""What the lesson may import of the engine."""

CALLED_BY_LIBRARIES = {"byte_dropout_attention", "_load_from_state_dict"}
"""Functions whose parameters PyTorch or Transformers have decided."""

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "data" not in path.parts)


def name_of(path: Path) -> str:
    """``training.loop`` for ner_tutorial/training/loop.py; a package's own file has the package's name."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> list[tuple[str, bool]]:
    """(module of the package, imported at the top of the file) for every import of the package's own modules."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = {id(node) for node in tree.body}
    names = {name_of(other) for other in MODULES}
    rows = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path.name}: imports are absolute, so that they can be read"
            wanted = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for full in wanted:
            if full.split(".")[0] != "ner_tutorial" or full == "ner_tutorial":
                continue
            name = full.removeprefix("ner_tutorial.")
            while name and name not in names:
                name = name.rpartition(".")[0]
            if name:
                rows.append((name, id(node) in top))
    return rows


def floor(name: str) -> str:
    return name.split(".")[0]


def order_in(name: str, names: list[str]) -> int:
    return names.index(name)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_downwards(path):
    me = name_of(path)
    for other, at_top in imports_of(path):
        if me == "" or floor(me) in PLUMBING or floor(other) in FOUNDATION:
            continue
        where = f"{me} imports {other}"
        if floor(me) == "fast":
            allowed = TEACHING[: TEACHING.index("encoders") + 1]
            assert floor(other) == "fast" or floor(other) in allowed, f"{where}: the engine stands on encoders"
        elif floor(me) in FOUNDATION:
            pytest.fail(f"{where}: it may import nothing of the package")
        elif floor(other) == "fast":
            assert other in DOORS, f"{where}: the lesson enters the engine by its door"
        elif floor(other) in PLUMBING:
            assert floor(other) == "hub", where
            assert floor(me) in LEAVES, where
            assert not at_top, f"{where}: inside the function that needs it"
        elif floor(me) == floor(other) == "training":
            if "." in me and "." in other:
                ours, theirs = (name.split(".")[1] for name in (me, other))
                assert order_in(theirs, TRAINING) < order_in(ours, TRAINING), where
        elif floor(me) == floor(other):
            continue
        else:
            assert order_in(floor(other), TEACHING) < order_in(floor(me), TEACHING), f"{where}: it stands above"


def test_every_module_has_its_place():
    known = {*TEACHING, *FOUNDATION, *PLUMBING, "fast", "", "seqeval_metric"}
    assert {floor(name_of(path)) for path in MODULES} <= known
    assert {name_of(path).split(".")[1] for path in MODULES if name_of(path).startswith("training.")} <= set(TRAINING)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_can_be_read_in_one_sitting(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= (300 if floor(name_of(path)) in TEACHING else 400)


def commands(tree: ast.Module) -> set[str]:
    """Functions whose parameters are the options of the command line."""
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and any("command" in ast.dump(item) for item in node.decorator_list)
    }


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_helper_takes_at_most_six_parameters(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    public = set(ner_tutorial.__all__) | commands(tree) | CALLED_BY_LIBRARIES
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name not in public:
            count = sum(
                argument.arg not in ("self", "cls")
                for argument in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            )
            assert count <= 6, f"{path.name}: {node.name} takes {count}"


def test_no_six_lines_stand_twice():
    places = defaultdict(set)
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imports = {
            line
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for line in range(node.lineno, node.end_lineno + 1)
        }
        texts = {
            line
            for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            for line in range(node.lineno, node.end_lineno + 1)
        }
        signatures = {
            line
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef)
            for line in range(node.lineno, node.body[0].lineno)
        }
        code = [
            (number, line.strip())
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
            if number not in imports | texts | signatures and len(line.strip()) > 3 and not line.strip().startswith("#")
        ]
        for start in range(len(code) - 5):
            places[tuple(text for _, text in code[start : start + 6])].add((name_of(path), code[start][0]))
    twice = [sorted(where) for where in places.values() if len(where) > 1]
    assert not twice, twice[:3]


def test_no_test_module_imports_another():
    for path in (ROOT / "tests").glob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("test_"), f"{path.name} imports {node.module}"
