"""Everything that both loops need before the first step.

Taught in chapter 5, which takes the same steps one by one: settings, corpus, tokenizer, model, rows, batches.
"""

import itertools
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch

from ner_tutorial import fast
from ner_tutorial.alignment import Encoder
from ner_tutorial.collation import EpochBatches, training_rows
from ner_tutorial.corpus import load_corpus, take, with_common_labels
from ner_tutorial.encoders import load_model, load_tokenizer, runs_in
from ner_tutorial.evaluation import EvaluationSet, encode_split
from ner_tutorial.labels import IGNORED_LABEL, LabelScheme
from ner_tutorial.metrics import score_labels
from ner_tutorial.model_folder import check_finished
from ner_tutorial.profiles import Profile
from ner_tutorial.training.checkpoints import CHECKPOINTS
from ner_tutorial.training.results import METRICS_FILE, TrainingResult, load_result
from ner_tutorial.training.run_folder import check_folder, corpus_fingerprint, recorded_settings
from ner_tutorial.training.settings import TrainingSettings, resolve

log = logging.getLogger("ner_tutorial")


@dataclass(frozen=True)
class Plan:
    """What a run is to do: all that can be said before a model is loaded."""

    settings: TrainingSettings
    corpus: Mapping
    """The splits ``train``, ``validation`` and ``test``."""
    hardware: fast.Hardware
    folder: Path
    resume: bool
    precision_was_given: bool
    """By the user or by the run that is resumed; otherwise it is still to be chosen, with the model and its batches."""


def plan_run(loop: str, folder: str | Path, corpus, profile: Profile | str | None, overrides: Mapping) -> Plan:
    """Settle the settings of a run, load its corpus, and look at its folder. Nothing is written.

    Args:
        loop: ``trainer`` or ``accelerate``.
        corpus: a ``DatasetDict``, a source for ``load_corpus``, or ``None`` for the profile's.
        overrides: settings by name, and ``resume``.

    Raises:
        FileExistsError: the folder holds another run or other files.
        FileNotFoundError, OSError, TypeError, ValueError: corpus or settings cannot be used; the message says why.
    """
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    overrides = dict(overrides)
    resume, given = overrides.pop("resume"), isinstance(corpus, Mapping)
    named = {"corpus": "given" if given else None if corpus is None else str(corpus)}
    settings = resolve(profile, overrides | named, loop)
    splits = with_common_labels(corpus) if given else load_corpus(settings.corpus)
    # The default precision may be found by timing; a run goes on in the format that it began in.
    recorded = (recorded_settings(folder) or {}) if resume else {}
    precision = settings.precision or recorded.get("precision")
    hardware = fast.detect_hardware(precision)
    state = PartialState(cpu=hardware.device == "cpu")
    # For the same reason one process decides for all.
    hardware = replace(hardware, precision=broadcast_object_list([hardware.precision])[0])
    settings = replace(
        settings,
        corpus_sha256=corpus_fingerprint(splits),
        precision=hardware.precision,
        byte_dropout=settings.byte_dropout and hardware.device == "cpu",
        processes=state.num_processes,
    )
    if state.is_main_process:
        check_folder(folder, settings, resume)
    state.wait_for_everyone()
    return Plan(settings, splits, hardware, Path(folder), resume, precision is not None)


def finished_result(plan: Plan) -> TrainingResult | None:
    """The result of the run that is to be resumed, if it is finished and its model is whole."""
    if not (plan.resume and (plan.folder / METRICS_FILE).is_file()):
        return None
    try:
        check_finished(plan.folder)
    except (OSError, ValueError) as error:
        log.warning("This run is finished, but its model is damaged: %s. It is made again from the checkpoints.", error)
        return None
    return load_result(plan.folder)


@dataclass(frozen=True)
class Run:
    """A run that is ready for its first step."""

    settings: TrainingSettings
    hardware: fast.Hardware
    folder: Path
    encoder: Encoder
    """The tokenizer with the labels and lengths of this run."""
    model: torch.nn.Module
    rows: list[dict[str, list[int]]]
    """The training rows: ``input_ids``, ``attention_mask``, ``labels``."""
    batches: EpochBatches
    validation: EvaluationSet
    test: EvaluationSet
    validation_split: object
    """The validation split as a data set, for the check of text against words."""
    sentences: int
    """In the training split."""
    entities: int
    """In the validation split."""

    @property
    def tokenizer(self):
        return self.encoder.tokenizer

    @property
    def steps_per_epoch(self) -> int:
        return len(self.batches) // self.settings.processes  # without a rest: see EpochBatches

    @property
    def steps(self) -> int:
        """Training steps of the whole run, which the schedule must know in advance."""
        return self.steps_per_epoch * self.settings.epochs

    @cached_property
    def divisor(self) -> float | None:
        """What the summed loss of a batch is divided by: the counted labels of a mean batch. ``None`` means its mean."""
        if self.settings.batching == "sentences":
            return None
        counted = sum(label != IGNORED_LABEL for row in self.rows for label in row["labels"])  # in an epoch
        return counted / len(self.batches)

    def checkpoint(self, epoch: int) -> Path:
        """The folder of the checkpoint after ``epoch``, counted from 1. Trainer names it by steps, our loop by epochs."""
        trainers = self.settings.loop == "trainer"
        name = f"checkpoint-{epoch * self.steps_per_epoch}" if trainers else f"epoch-{epoch}"
        return self.folder / CHECKPOINTS / name


def prepare(plan: Plan) -> Run:
    """Load tokenizer and model and make rows and batches, in the order in which nothing random depends on another.

    Raises:
        OSError, ValueError: corpus or checkpoint cannot be used; the message says why.
    """
    from transformers import set_seed

    settings = plan.settings
    train = take(plan.corpus["train"], settings.train_sentences)
    if not len(train):
        raise ValueError("the train split holds no sentence")
    scheme = LabelScheme.from_features(train.features)
    tokenizer = load_tokenizer(settings.checkpoint)
    set_seed(settings.seed)  # the classification head starts random: the seed comes before the model (erratum 6)
    model = load_model(settings.checkpoint, scheme)
    model.config.pad_token_id = tokenizer.pad_token_id  # what the collator pads with; config.json may say another id
    hardware = plan.hardware
    if not runs_in(model.to(hardware.device), hardware.precision):
        if plan.precision_was_given:
            raise ValueError(
                f"{settings.checkpoint} cannot compute in {hardware.precision}; train it with precision no"
            )
        log.warning("%s cannot compute in %s; it is trained in float32.", settings.checkpoint, hardware.precision)
        hardware = replace(hardware, precision="no")
    fast.parameter_groups(model, 0.0, 1.0, settings.layer_decay)  # refuses a model whose layers are not known
    encoder = Encoder(tokenizer, scheme, settings.max_length, settings.stride)
    rows = training_rows(train, encoder)
    validation, test = (encode_split(plan.corpus[split], encoder) for split in ("validation", "test"))
    # Scored before anything is trained: what scoring needs is there, or it is found out now.
    nothing = [["O"] * len(gold) for gold in validation.references]
    entities = score_labels(validation.references, nothing, scheme=None).number
    batches = EpochBatches(
        [len(row["input_ids"]) for row in rows],
        settings.batch_size,
        settings.epochs,
        settings.seed,
        by_tokens=settings.batching == "tokens",
        processes=settings.processes,
    )
    # Where a step is small for its device, fewer digits cost more than they save, and only the steps themselves can tell:
    # on a card that is so for any batch that leaves it waiting for the next launch.
    if not plan.precision_was_given and (settings.batching == "sentences" or hardware.device == "cuda"):
        hardware = replace(hardware, precision=timed_precision(model, rows, batches, tokenizer, hardware))
    return Run(
        settings=replace(settings, precision=hardware.precision),
        hardware=hardware,
        folder=plan.folder,
        encoder=encoder,
        model=model,
        rows=rows,
        batches=batches,
        validation=validation,
        test=test,
        validation_split=plan.corpus["validation"],
        sentences=len(train),
        entities=entities,
    )


def timed_precision(model, rows, batches: EpochBatches, tokenizer, hardware: fast.Hardware) -> str:
    """The number format in which the first steps are faster, said in one line; the same for all processes."""
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    collate = collator(tokenizer)
    first = [collate([rows[i] for i in batch]) for batch in itertools.islice(batches, 4)]
    first = [{name: tensor.to(hardware.device) for name, tensor in batch.items()} for batch in first]
    precision, ratio = fast.faster_precision(model.to(hardware.device), first, hardware)
    precision = broadcast_object_list([precision])[0]
    if hardware.precision != "no" and PartialState().is_main_process:
        print(
            f"Number format: {replace(hardware, precision=precision).describe()}; at this batch size "
            f"{hardware.precision} takes {1 / ratio:.2f} times as long as float32."
        )
    return precision


def collator(tokenizer):
    """Pads the rows of a batch to its longest: ids with the tokenizer's padding, labels with -100."""
    from transformers import DataCollatorForTokenClassification

    return DataCollatorForTokenClassification(tokenizer)


def adamw(model, settings: TrainingSettings) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) with a learning rate for each layer, all tensors in one call."""
    groups = fast.parameter_groups(
        model, settings.weight_decay, settings.learning_rate, settings.layer_decay, settings.decayed
    )
    return torch.optim.AdamW(groups, fused=True)
