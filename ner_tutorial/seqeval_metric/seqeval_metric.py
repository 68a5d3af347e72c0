"""The seqeval metric as an ``evaluate`` module that lies in the package, so that it loads without the network.

The numbers are seqeval's own (Nakayama, 2018, https://github.com/chakki-works/seqeval); this module only puts them into
the keys that ``evaluate`` users know: one entry a type with precision, recall, f1 and number, and four overall scores.
"""

import warnings

import datasets
import evaluate
from seqeval.metrics import accuracy_score, classification_report
from seqeval.scheme import IOB2

AVERAGES = {"micro avg", "macro avg", "weighted avg"}
OVERALL = {"overall_precision", "overall_recall", "overall_f1", "overall_accuracy"}


class SeqevalMetric(evaluate.Metric):
    def _info(self):
        sequences = datasets.Sequence(datasets.Value("string"))
        return evaluate.MetricInfo(
            description="Entity-level precision, recall and F1 of tagged sequences, computed by seqeval.",
            citation="Hiroki Nakayama. seqeval: a Python framework for sequence labeling evaluation. 2018.",
            inputs_description="predictions and references: one list of label names a sentence.",
            features=datasets.Features({"predictions": sequences, "references": sequences}),
            reference_urls=["https://github.com/chakki-works/seqeval"],
        )

    def _compute(self, predictions, references, strict=False, zero_division=0):
        taken = sorted(
            {tag[2:] for rows in (predictions, references) for row in rows for tag in row} & (AVERAGES | OVERALL)
        )
        if taken:
            raise ValueError(
                f"an entity type is named {taken[0]!r}, which is a key of this metric's result; "
                "rename the type, or use ner_tutorial.score_labels, which keeps types and averages apart"
            )
        mode = {"mode": "strict", "scheme": IOB2} if strict else {}
        with warnings.catch_warnings():
            # Without any entity, seqeval takes the mean of nothing for its macro average, which is not used here.
            warnings.filterwarnings("ignore", "Mean of empty slice|invalid value encountered", RuntimeWarning)
            report = classification_report(
                references, predictions, output_dict=True, zero_division=zero_division, **mode
            )
        overall = report.pop("micro avg", {"precision": 0.0, "recall": 0.0, "f1-score": 0.0})
        report.pop("macro avg", None)
        report.pop("weighted avg", None)
        scores = {
            kind: {
                "precision": float(row["precision"]),
                "recall": float(row["recall"]),
                "f1": float(row["f1-score"]),
                "number": int(row["support"]),
            }
            for kind, row in report.items()
        }
        return {
            **scores,
            "overall_precision": float(overall["precision"]),
            "overall_recall": float(overall["recall"]),
            "overall_f1": float(overall["f1-score"]),
            "overall_accuracy": float(accuracy_score(references, predictions)),
        }
