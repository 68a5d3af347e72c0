"""The project's aims for speed, as targets for what was measured.

What training can gain depends on the processor: where it multiplies bfloat16 matrices no faster than float32 ones,
mixed precision has nothing to give, and the target is the smaller one. The other targets are one number for all
processors, and not every processor reaches them.
"""

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """One claim, and whether the measurement bears it out."""

    claim: str
    target: str
    found: str
    met: bool


def _at_least(claim: str, ratio: dict, target: float) -> Target:
    return Target(claim, f"at least {target}x", f"{ratio['median']:.2f}x", ratio["median"] >= target)


def check(results: dict) -> list[Target]:
    """The claims about the parts that ``results`` holds."""
    fast = results["machine"]["faster_in_bf16"]
    rows: list[Target] = []
    if "import" in results:
        extra = results["import"]["seconds"]["median"]
        rows.append(Target("import ner_tutorial", "under 0.3 s", f"{extra:.2f} s", extra < 0.3))
    if "tokenising" in results:
        part = results["tokenising"]
        rows.append(_at_least("tokenise and align", part["variants"]["direct"], 1.5))
        rows.append(Target("tokenise and align, identical", "yes", str(part["identical"]), part["identical"]))
    if "prediction" in results:
        variants = results["prediction"]["variants"]
        predict, int8 = variants["predict"], variants["ONNX, int8"]
        rows.append(_at_least("predict against the pipeline one at a time", predict, 6.0))
        same = predict["same_entities"]
        rows.append(Target("predict, sentences with the same entities", "at least 99 %", f"{same:.1%}", same >= 0.99))
        one = variants["ONNX, int8, one at a time"]
        rows.append(_at_least("ONNX int8, one at a time", one, 5.0))
        loss = variants["predict, float32"]["f1"] - int8["f1"]
        rows.append(Target("ONNX int8, F1", "within 0.005", f"{-loss:+.4f}", abs(loss) <= 0.005))
    if "evaluation" in results:
        variants = results["evaluation"]["variants"]
        rows.append(_at_least("evaluation", variants["sorted, mixed precision"], 4.0))
        scores = [round(row["f1"], 3) for row in variants.values()]
        rows.append(Target("evaluation, F1 to three decimals", "equal", str(scores), len(set(scores)) == 1))
    # On a processor that is fast in bfloat16 both claims are tested: with it, and in float32.
    claims = {"loop": (4.0, 2.5), "Trainer": (2.5, 1.5)}
    for name, (mixed, float32) in claims.items():
        if "runs" in results:
            variants = results["runs"]["variants"]
            rows.append(_at_least(name, variants[name], mixed if fast else float32))
            if f"{name}, float32" in variants:
                rows.append(_at_least(f"{name}, float32", variants[f"{name}, float32"], float32))
        for variant, row in results.get("training", {}).get("variants", {}).items():
            if variant in (name, f"{name}, float32"):
                gain = row["f1_gain"]
                rows.append(Target(f"{variant}, mean F1 against the recipe", "not lower", f"{gain:+.4f}", gain >= 0))
    if "overhead" in results:
        for variant, row in results["overhead"]["variants"].items():
            if variant != "recipe":
                rows.append(_at_least(f"{variant}, with a tiny encoder", row, 0.95))
    if "gpu" in results:
        part = results["gpu"]
        for variant, row in part["variants"].items():
            if variant != "recipe":
                rows.append(_at_least(f"GPU, {variant}", row, 4.0 if variant.startswith("fast") else 0.95))
        one, many = (part["prediction"][f"pipeline, {how}"] for how in ("one at a time", "batches of 64"))
        predict = part["prediction"]["predict"]
        rows.append(_at_least("GPU, predict against the pipeline one at a time", predict, 20.0))
        against_many = {"median": predict["median"] / many["median"] * one["median"]}
        rows.append(_at_least("GPU, predict against the pipeline in batches of 64", against_many, 2.0))
        if "skipped" not in part["quality"]:
            quality = part["quality"]
            same = min(quality["same_entities_as_cpu"])
            rows.append(
                Target("GPU, sentences with the CPU's entities", "at least 99.5 %", f"{same:.1%}", same >= 0.995)
            )
            gain = statistics.mean(quality["fast_validation_f1"]) - statistics.mean(quality["recipe_validation_f1"])
            rows.append(Target("GPU, fast, mean F1 against the recipe", "not lower", f"{gain:+.4f}", gain >= 0))
    return rows
