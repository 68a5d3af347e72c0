"""Run the measurements and write `benchmarks/results.json`: `python -m benchmarks [PART ...]`."""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")

from benchmarks import reading, training
from benchmarks.common import machine, say
from ner_tutorial.book import trained_model

RESULTS = Path(__file__).resolve().parent / "results.json"

PARTS = {
    "import": lambda: reading.import_time(),
    "tokenising": lambda: reading.tokenising(),
    "prediction": lambda: reading.prediction(trained_model().model_dir),
    "evaluation": lambda: reading.evaluation(trained_model().model_dir),
    "steps": lambda: training.one_change_at_a_time(),
    "growth": lambda: training.growth(),
    "training": lambda: training.paired_seeds(),
    "batches": lambda: training.batches_and_f1(),
}


def show(name: str, content: dict) -> None:
    say(f"== {name}")
    for variant, row in (content.get("variants") or content.get("ways") or {}).items():
        ratio = row.get("ratio", row)
        parts = (
            [f"{ratio['median']:.2f}x ({ratio['lowest']:.2f} to {ratio['highest']:.2f})"] if "median" in ratio else []
        )
        parts += [
            f"{key} {row[key]}"
            for key in ("f1", "f1_mean", "f1_gain", "gain", "same_entities", "padding")
            if key in row
        ]
        say(f"  {variant}: " + ", ".join(parts))


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        say(f"unknown part {', '.join(unknown)}; choose from {', '.join(PARTS)}")
        return 2
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() and names else {}
    results["machine"] = machine()
    say(str(results["machine"]))
    for name in names or PARTS:
        results[name] = PARTS[name]()
        show(name, results[name])
        RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
