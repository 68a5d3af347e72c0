"""Fine-tune a transformer for named entity recognition: the package behind the book.

The names below are the public ones. They are loaded when first used, so that ``import ner_tutorial`` is quick.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

_PUBLIC = {
    "labels": ["CONLL_SCHEME", "IGNORED_LABEL", "LabelScheme", "entity_spans"],
    "conll": ["ConllError", "Sentence", "iob1_to_iob2", "read_conll", "write_conll"],
    "corpus": ["load_corpus", "sentences_to_dataset", "with_common_labels"],
    "baselines": ["DictionaryBaseline", "mentions", "unseen_share"],
    "encoders": ["load_model", "load_tokenizer"],
    "alignment": ["Encoder", "align_labels_with_tokens", "tokenize_and_align_labels", "tokenize_windows"],
    "metrics": [
        "DecodedLabels",
        "Scores",
        "baseline_scores",
        "decode_predictions",
        "load_seqeval",
        "make_compute_metrics",
        "score_labels",
    ],
    "evaluation": ["encode_for_evaluation", "evaluate_model"],
    "training": ["EpochMetrics", "TrainingResult", "load_result", "train_with_accelerate", "train_with_trainer"],
    "hub.share": ["model_card", "push_model"],
    "annotation_files": ["read_annotations"],
    "annotations": ["label_spans"],
    "importing": ["import_files", "write_corpus"],
    "lint": ["lint_folder"],
    "fast.onnx_export": ["export_onnx"],
    "tagger": ["EntitySpan", "Tagger", "load_tagger"],
    "profiles": ["Profile", "get_profile"],
    "fast.precision": ["detect_hardware"],
    "display": ["aligned_text", "show_aligned", "show_entities"],
    "plots": [
        "plot_epochs",
        "plot_label_counts",
        "plot_padding",
        "plot_sentence_lengths",
        "plot_type_scores",
    ],
    "notebook": ["chapter_folder", "remember_model", "trained_model"],
}
_MODULE_OF = {name: module for module, names in _PUBLIC.items() for name in names}
__all__ = sorted(_MODULE_OF)

try:
    __version__ = version("ner-tutorial")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"


def __getattr__(name: str):
    if name in _MODULE_OF:
        value = getattr(import_module(f"ner_tutorial.{_MODULE_OF[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'ner_tutorial' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
