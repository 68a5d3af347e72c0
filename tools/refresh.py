"""Run notebooks top to bottom in the quick profile and keep their outputs: `python tools/refresh.py [NOTEBOOK ...]`.

Without arguments, every notebook in `book/` runs, in order. A cell that raises, or that writes to standard error, stops
the refresh, and the notebook on disk stays as it was. The seconds and the peak memory of each notebook go into
`book/execution.json`, which the page "Status and troubleshooting" shows.
"""

import json
import os
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "book" / "execution.json"
STATUS = ROOT / "book" / "status.ipynb"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def clean(notebook) -> None:
    """Keep what a reader sees: no timings, no widget state, no machine's metadata."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        for name in ("execution", "lines_to_next_cell"):
            cell.metadata.pop(name, None)
        if cell.cell_type != "code":
            continue
        # A progress bar is a live widget; on a page it would be an empty box.
        cell.outputs = [o for o in cell.outputs if "application/vnd.jupyter.widget-view+json" not in o.get("data", {})]


def problems(notebook) -> list[str]:
    found = []
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                found.append(f"cell {number} writes to standard error: {output.text.strip()[:300]}")
            if str(ROOT) in str(output) or str(Path.home()) + "/" in str(output):
                found.append(f"cell {number} shows a path of this machine")
    return found


def peak_memory_mb(pid: int) -> int | None:
    """The most memory that a process held, in MB. ``None`` where the system does not tell."""
    status = Path(f"/proc/{pid}/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8")) if status.exists() else None
    return int(found[1]) // 1024 if found else None


def record(name: str, seconds: float, peak: int | None) -> None:
    content = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    content[name] = {
        "seconds": round(seconds),
        "peak_mb": peak,
        "date": time.strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
    }
    RECORD.write_text(json.dumps(dict(sorted(content.items())), indent=2) + "\n", encoding="utf-8")


def refresh(path: Path) -> bool:
    notebook = nbformat.read(path, as_version=4)
    started = time.perf_counter()
    # As under nbval, the kernel runs in the notebook's folder.
    client = NotebookClient(
        notebook,
        timeout=1800,
        kernel_name="python3",
        store_widget_state=False,
        coalesce_streams=True,  # a busy machine may deliver what a cell prints in several pieces
        extra_arguments=["--InlineBackend.figure_formats=retina"],  # twice the pixels, shown at the usual size
        resources={"metadata": {"path": str(path.parent)}},
    )
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
        peak = peak_memory_mb(client.km.provisioner.pid)
    seconds = time.perf_counter() - started
    clean(notebook)
    found = problems(notebook)
    for line in found:
        print(f"{path.name}: {line}", file=sys.stderr)
    if not found:
        nbformat.write(notebook, path)
        record(path.name, seconds, peak)
    print(f"{path.name}: {seconds:.0f} s, {peak} MB", flush=True)
    return not found


def main(arguments: list[str]) -> int:
    for name in ("NER_TUTORIAL_PROFILE", "NER_TUTORIAL_CORPUS", "NER_TUTORIAL_CHECKPOINT"):
        os.environ.pop(name, None)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    paths = [Path(name) for name in arguments] or sorted((ROOT / "book").glob("*.ipynb"))
    paths = [path.resolve() for path in paths]
    # The status page shows the record, which every other notebook changes: it comes last, whatever was asked for.
    paths = [path for path in paths if path != STATUS] + [STATUS]
    return 0 if all(refresh(path) for path in paths) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
