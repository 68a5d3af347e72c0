"""Run the measurements and write `benchmarks/results.json`: `python -m benchmarks [PART ...]`."""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TQDM_DISABLE", "1")

import torch

from benchmarks import gpu, mix, reading, steps, targets, training
from benchmarks.common import machine, say
from ner_tutorial.notebook import trained_model
from ner_tutorial.profiles import get_profile

RESULTS = Path(__file__).resolve().parent / "results.json"

PARTS = {
    "import": lambda: reading.import_time(),
    "tokenising": lambda: reading.tokenising(),
    "prediction": lambda: reading.prediction(trained_model().model_dir),
    "evaluation": lambda: reading.evaluation(trained_model().model_dir),
    "breakdown": lambda: steps.breakdown(),
    "steps": lambda: steps.one_change_at_a_time(),
    "compiling": lambda: steps.compiling(),
    "growth": lambda: steps.growth(),
    "memory": lambda: steps.memory(),
    "runs": lambda: training.whole_runs(),
    "batches": lambda: training.ways_of_batching(),
    "training": lambda: training.whole_corpus(),
    "overhead": lambda: gpu.overhead(),
    "genre mix": lambda: mix.genre_mix(encoder=get_profile("quick").checkpoint),
    "gpu": lambda: gpu.comparison(),
}
# Without a card it measures this processor, which nobody asked for: it runs when it is named.
BY_DEFAULT = [name for name in PARTS if name != "gpu" or torch.cuda.is_available()]

OWN_MACHINE = {"batches", "training", "genre mix", "gpu"}
"""Parts that name their own machine, since another one may have run them: F1, and what was measured on a card."""


def show(name: str, content: dict) -> None:
    say(f"== {name}")
    rows = dict(content.get("variants", {}))
    say("  " + ", ".join(f"{key} {value}" for key, value in content.items() if key not in ("variants", "machine")))
    for variant, row in rows.items():
        parts = [f"{row['median']:.2f}x ({row['lowest']:.2f} to {row['highest']:.2f})"] if "median" in row else []
        keys = ("f1", "f1_mean", "f1_gain", "same_entities", "padding", "mb")
        parts += [f"{key} {row[key]}" for key in keys if key in row]
        say(f"  {variant}: " + ", ".join(parts))


def show_targets(results: dict) -> bool:
    """Print each claim of the book about speed with what was measured; true if all that were measured are met."""
    rows = targets.check(results)
    if rows:
        say("== targets")
    for row in rows:
        say(f"  {'met   ' if row.met else 'MISSED'} {row.claim}: {row.found} (target {row.target})")
    return all(row.met for row in rows)


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        say(f"unknown part {', '.join(unknown)}; choose from {', '.join(PARTS)}")
        return 2
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() and names else {}
    # What is no longer measured leaves the record.
    results = {name: content for name, content in results.items() if name in PARTS or name == "machine"}
    here = machine()
    if set(names or BY_DEFAULT) - OWN_MACHINE:
        measured_on = results.get("machine", here)
        if any(measured_on[key] != here[key] for key in ("processor", "bf16_instructions", "faster_in_bf16", "torch")):
            say(
                f"{RESULTS.name} holds times of another machine: {measured_on}. Measure all parts: python -m benchmarks"
            )
            return 2
        results["machine"] = here
    say(", ".join(f"{key} {value}" for key, value in here.items()))
    for name in names or BY_DEFAULT:
        results[name] = PARTS[name]()
        if name in OWN_MACHINE:
            results[name]["machine"] = here
        show(name, results[name])
        RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    met = show_targets(results)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
