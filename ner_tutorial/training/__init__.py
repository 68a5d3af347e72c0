"""Fine-tune an encoder for NER, once with ``Trainer`` and once with a loop of our own on Accelerate.

Taught in chapter 5 (``train_with_trainer``) and chapter 6 (``train_with_accelerate``). Both take the same arguments,
see the same batches, choose the best epoch by validation F1, and score the test split once, at the end.
"""

import contextlib
import json
import math
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from ner_tutorial.alignment import Encoder
from ner_tutorial.collation import EpochBatches, training_rows
from ner_tutorial.corpus import load_corpus, take
from ner_tutorial.encoders import load_model, load_tokenizer, quiet_loading
from ner_tutorial.evaluation import EvaluationSet, encode_split, evaluate_model
from ner_tutorial.fast.dropout import use_byte_dropout
from ner_tutorial.fast.layer_rates import check_layer_decay, layer_depths, parameter_groups
from ner_tutorial.fast.precision import Hardware, detect_hardware, keep_freed_memory
from ner_tutorial.fast.vocabulary import restore_embeddings, trim_embeddings
from ner_tutorial.files import write_json
from ner_tutorial.labels import IGNORED_LABEL, LabelScheme
from ner_tutorial.metrics import Scores, TypeScore
from ner_tutorial.profiles import Profile, get_profile
from ner_tutorial.training.run_folder import (
    CHECKPOINTS,
    COMPLETE,
    METRICS_FILE,
    PARTIAL,
    TrainingSettings,
    claim_folder,
    complete_checkpoints,
    corpus_fingerprint,
    drop_cut_off_checkpoints,
    drop_training_state,
    recorded_precision,
)


@dataclass(frozen=True)
class EpochMetrics:
    """One row of the table that a run prints. Scores are word level, on the validation split."""

    epoch: int
    train_loss: float
    """Mean cross-entropy a counted piece, while training."""
    eval_loss: float
    """Mean cross-entropy a word, on the validation split."""
    precision: float
    recall: float
    f1: float
    accuracy: float


@dataclass(frozen=True)
class TrainingResult:
    """What a run leaves: the folder of the best model, and the numbers."""

    model_dir: Path
    epochs: list[EpochMetrics]
    best_epoch: int
    """The epoch with the highest validation F1; its weights are the model."""
    validation: Scores
    test: Scores
    """The test split, scored once, with the best epoch's weights."""
    train_runtime_s: float
    """Seconds spent in training steps, evaluation and saving left out."""
    train_sentences_per_second: float

    def to_dict(self) -> dict:
        """The content of ``metrics.json``."""
        return {
            "epochs": [asdict(row) for row in self.epochs],
            "best_epoch": self.best_epoch,
            "validation": self.validation.to_dict(),
            "test": self.test.to_dict(),
            "train_runtime_s": round(self.train_runtime_s, 3),
            "train_sentences_per_second": round(self.train_sentences_per_second, 3),
        }


def load_result(model_dir: str | Path) -> TrainingResult:
    """The result of a finished run, read from its ``metrics.json``.

    Raises:
        FileNotFoundError: the folder holds no finished run.
    """
    path = Path(model_dir) / METRICS_FILE
    if not path.is_file():
        raise FileNotFoundError(f"no finished run in {model_dir}: {METRICS_FILE} is missing")
    content = json.loads(path.read_text(encoding="utf-8"))

    def scores(row: dict) -> Scores:
        return Scores(**{**row, "per_type": {kind: TypeScore(**value) for kind, value in row["per_type"].items()}})

    return TrainingResult(
        model_dir=Path(model_dir),
        epochs=[EpochMetrics(**row) for row in content["epochs"]],
        best_epoch=content["best_epoch"],
        validation=scores(content["validation"]),
        test=scores(content["test"]),
        train_runtime_s=content["train_runtime_s"],
        train_sentences_per_second=content["train_sentences_per_second"],
    )


# --------------------------------------------------------------------------------------------- what both loops share


@dataclass
class Preparation:
    """Everything that both loops need before the first step."""

    settings: TrainingSettings
    hardware: Hardware
    scheme: LabelScheme
    tokenizer: object
    model: torch.nn.Module
    rows: list[dict[str, list[int]]]
    """The training rows: ``input_ids``, ``attention_mask``, ``labels``."""
    batches: EpochBatches
    labels_per_batch: float
    """Counted labels in a mean batch: what the summed loss is divided by."""
    validation: EvaluationSet
    test: EvaluationSet
    folder: Path
    sentences: int


def _prepare(
    loop: str,
    output_dir,
    corpus,
    checkpoint,
    profile: Profile | str | None,
    epochs,
    batch_size,
    learning_rate,
    seed,
    train_sentences,
    precision,
    layer_decay,
    batching,
    trim,
    byte_dropout,
    resume,
) -> Preparation | TrainingResult:
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list
    from transformers import set_seed

    if not isinstance(profile, Profile):
        profile = get_profile(profile)
    if batching not in ("tokens", "sentences"):
        raise ValueError(f"unknown batching {batching!r}; choose tokens or sentences")
    source = corpus if corpus is not None else profile.corpus
    splits = source if isinstance(source, Mapping) else load_corpus(source)
    if resume and precision is None:
        # The default may have been found by timing (hardware.py); a run goes on in the format that it began in.
        precision = recorded_precision(output_dir)
    hardware = detect_hardware(precision)
    state = PartialState(cpu=hardware.device == "cpu")
    # For the same reason, one process decides for all.
    hardware = replace(hardware, precision=broadcast_object_list([hardware.precision])[0])
    settings = TrainingSettings(
        loop=loop,
        corpus="given" if isinstance(source, Mapping) else str(source),
        corpus_sha256=corpus_fingerprint(splits),
        checkpoint=str(checkpoint if checkpoint is not None else profile.checkpoint),
        epochs=int(epochs if epochs is not None else profile.epochs),
        batch_size=int(batch_size if batch_size is not None else profile.batch_size),
        eval_batch_size=profile.eval_batch_size,
        learning_rate=float(learning_rate if learning_rate is not None else profile.learning_rate),
        warmup_ratio=profile.warmup_ratio,
        layer_decay=float(layer_decay if layer_decay is not None else profile.layer_decay),
        weight_decay=profile.weight_decay,
        max_grad_norm=profile.max_grad_norm,
        max_length=profile.max_length,
        stride=profile.stride,
        seed=int(seed if seed is not None else profile.seed),
        train_sentences=train_sentences if train_sentences is not None else profile.train_sentences,
        precision=hardware.precision,
        batching=batching,
        trim=bool(trim),
        byte_dropout=bool(byte_dropout) and hardware.device == "cpu",
        processes=state.num_processes,
    )
    for name in ("epochs", "batch_size"):
        if getattr(settings, name) < 1:
            raise ValueError(f"{name} must be at least 1, got {getattr(settings, name)}")
    if not settings.learning_rate > 0:
        raise ValueError(f"learning_rate must be above 0, got {settings.learning_rate}")
    check_layer_decay(settings.layer_decay)

    train = take(splits["train"], settings.train_sentences)
    if not len(train):
        raise ValueError("the train split holds no sentence")
    scheme = LabelScheme.from_features(train.features)
    tokenizer = load_tokenizer(settings.checkpoint)
    # The classification head starts random: the seed comes before the model (erratum 6).
    set_seed(settings.seed)
    model = load_model(settings.checkpoint, scheme)
    model.config.pad_token_id = tokenizer.pad_token_id  # what the collator pads with; config.json may say another id
    if settings.layer_decay < 1:
        layer_depths(model)  # refuses a model whose layers are not known, before the folder is claimed

    folder = Path(output_dir)
    with state.main_process_first():
        # The others find the claim that the main process has just made.
        claim_folder(folder, settings, resume or not state.is_main_process)
    if (folder / METRICS_FILE).is_file():
        return load_result(folder)
    if state.is_main_process:
        drop_cut_off_checkpoints(folder)
    state.wait_for_everyone()

    if hardware.device == "cpu":
        keep_freed_memory()
    encoder = Encoder(tokenizer, scheme, settings.max_length, settings.stride)
    rows = training_rows(train, encoder)
    batches = EpochBatches(
        [len(row["input_ids"]) for row in rows],
        settings.batch_size,
        settings.epochs,
        settings.seed,
        by_tokens=settings.batching == "tokens",
        processes=state.num_processes,
    )
    if settings.trim:
        trim_embeddings(model, rows)
    if settings.byte_dropout:
        use_byte_dropout(model)
    counted = sum(label != IGNORED_LABEL for row in rows for label in row["labels"])
    return Preparation(
        settings=settings,
        hardware=hardware,
        scheme=scheme,
        tokenizer=tokenizer,
        model=model,
        rows=rows,
        batches=batches,
        labels_per_batch=counted / len(batches),
        validation=encode_split(splits["validation"], encoder),
        test=encode_split(splits["test"], encoder),
        folder=folder,
        sentences=len(train),
    )


def _collator(tokenizer):
    from transformers import DataCollatorForTokenClassification

    return DataCollatorForTokenClassification(tokenizer)


def token_loss(logits: torch.Tensor, labels: torch.Tensor, divisor: float | None) -> torch.Tensor:
    """Cross-entropy of a batch: its sum over the counted labels by ``divisor``, or their mean if that is ``None``.

    Divided by one constant for all batches, every label of the epoch weighs the same. The mean gives the few labels
    of a batch of short sentences more weight each.

    Args:
        logits: (batch, tokens, labels)
        labels: (batch, tokens), -100 where nothing is counted
        divisor: the counted labels of a mean batch
    """
    reduction = "mean" if divisor is None else "sum"
    loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction=reduction)
    return loss if divisor is None else loss / divisor


def _adamw(model, settings: TrainingSettings) -> torch.optim.AdamW:
    groups = parameter_groups(model, settings.weight_decay, settings.learning_rate, settings.layer_decay)
    return torch.optim.AdamW(groups, fused=True)


def _score(model, prepared: Preparation, split: EvaluationSet, accelerator):
    """The one way in which both loops score, after each epoch and at the end: word level, in float32."""
    size = prepared.settings.eval_batch_size
    return evaluate_model(model, split, prepared.tokenizer, batch_size=size, accelerator=accelerator)


def _finish(
    prepared: Preparation, model, history: list[EpochMetrics], seconds: float, accelerator, is_main: bool
) -> TrainingResult:
    """Score the best model on both splits, save it, and write ``metrics.json`` last."""
    best = max(history, key=lambda row: row.f1)  # the first of equals
    validation = _score(model, prepared, prepared.validation, accelerator)
    test = _score(model, prepared, prepared.test, accelerator)
    result = TrainingResult(
        model_dir=prepared.folder,
        epochs=history,
        best_epoch=best.epoch,
        validation=validation.scores,
        test=test.scores,
        train_runtime_s=seconds,
        train_sentences_per_second=prepared.sentences * prepared.settings.epochs / seconds if seconds else 0.0,
    )
    if is_main:
        plain = accelerator.unwrap_model(model) if accelerator is not None else model
        restore_embeddings(plain)
        with quiet_loading():
            plain.save_pretrained(prepared.folder)
            prepared.tokenizer.save_pretrained(prepared.folder)
        write_json(prepared.folder / METRICS_FILE, result.to_dict())
    if accelerator is not None:
        accelerator.wait_for_everyone()
    return result


# ------------------------------------------------------------------------------------------------- the loop by hand


def train_with_accelerate(
    output_dir: str | Path,
    *,
    corpus=None,
    checkpoint: str | Path | None = None,
    profile: Profile | str | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    seed: int | None = None,
    train_sentences: int | None = None,
    precision: str | None = None,
    layer_decay: float | None = None,
    batching: str = "tokens",
    trim: bool = True,
    byte_dropout: bool = True,
    resume: bool = False,
    progress: bool = True,
) -> TrainingResult:
    """Fine-tune with a loop of our own on Accelerate. What is not given comes from the profile.

    Args:
        output_dir: a new or empty folder; the best model, the tokenizer, ``metrics.json`` and the checkpoints go there.
        corpus: a ``DatasetDict`` as ``load_corpus`` gives it, or a source for ``load_corpus``.
        checkpoint: the encoder to start from.
        profile: a ``Profile`` or its name; default, the active one.
        epochs, batch_size, learning_rate, seed, train_sentences: override the profile.
        precision: ``bf16``, ``fp16`` or ``no``; default, what the machine is fast in.
        layer_decay: each layer's learning rate as a share of the rate of the layer above it; the head has
            ``learning_rate``. 1.0 is one rate for all. Default, the profile's.
        batching: ``tokens`` fills batches to a token budget and weighs every label the same; ``sentences`` takes
            ``batch_size`` sentences in random order and the mean loss, as the original recipe does.
        trim: keep embedding rows that the corpus does not use out of the optimiser.
        byte_dropout: on a CPU, draw dropout's random numbers eight at a time (``use_byte_dropout``). Off, it is PyTorch's.
        resume: continue the run in ``output_dir`` after its last complete checkpoint. Its settings must be the same.
        progress: show a progress bar.

    Raises:
        FileExistsError: ``output_dir`` holds another run or other files.
        FileNotFoundError, OSError, ValueError: corpus, checkpoint or settings cannot be used; the message says why.
    """
    prepared = _prepare(
        "accelerate", output_dir, corpus, checkpoint, profile, epochs, batch_size, learning_rate, seed, train_sentences,
        precision, layer_decay, batching, trim, byte_dropout, resume,
    )  # fmt: skip
    if isinstance(prepared, TrainingResult):
        return prepared
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from tqdm.auto import tqdm
    from transformers import get_scheduler, set_seed

    settings, model = prepared.settings, prepared.model
    # Accelerate keeps the number format of the program's first Accelerator; an earlier run may have had another.
    if AcceleratorState._shared_state and AcceleratorState().mixed_precision != settings.precision:
        AcceleratorState._reset_state()
    accelerator = Accelerator(mixed_precision=settings.precision, cpu=prepared.hardware.device == "cpu")
    # Every process takes its own batches; their number is a multiple of the number of processes already.
    accelerator.even_batches = False
    loader = DataLoader(prepared.rows, batch_sampler=prepared.batches, collate_fn=_collator(prepared.tokenizer))
    optimizer = _adamw(model, settings)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    accelerator.even_batches = True
    steps = len(prepared.batches) // accelerator.num_processes * settings.epochs
    # Accelerate steps a prepared schedule once a process; ours counts real steps, so it stays unprepared.
    schedule = get_scheduler("linear", optimizer, math.ceil(steps * settings.warmup_ratio), steps)
    accelerator.register_for_checkpointing(schedule)
    divisor = prepared.labels_per_batch if settings.batching == "tokens" else None
    # Other dropout on every process; on one process the same stream as Trainer's.
    set_seed(settings.seed + accelerator.process_index)

    history, seconds, done = _resume_loop(accelerator, prepared.folder)
    bar = tqdm(
        total=steps, initial=steps * done // settings.epochs, disable=not (progress and accelerator.is_main_process)
    )
    for epoch in range(done, settings.epochs):
        prepared.batches.set_epoch(epoch)
        # A prepared loader counts epochs by itself, from 0 in a resumed run too, and passes its count to the batches.
        loader.set_epoch(epoch)
        model.train()
        started = time.perf_counter()
        total = torch.zeros((), device=accelerator.device)
        for batch in loader:
            labels = batch.pop("labels")
            with accelerator.autocast():
                logits = model(**batch).logits  # (batch, tokens, labels)
            loss = token_loss(logits, labels, divisor)
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            total += loss.detach()
            bar.update()
        train_loss = accelerator.reduce(total, "mean").item() * accelerator.num_processes / len(prepared.batches)
        seconds += time.perf_counter() - started

        found = _score(model, prepared, prepared.validation, accelerator)
        history.append(EpochMetrics(epoch + 1, train_loss, found.loss, **found.scores.overall()))
        bar.set_postfix(epoch=epoch + 1, loss=f"{train_loss:.3f}", f1=f"{found.scores.f1:.3f}")
        _save_loop_checkpoint(accelerator, model, prepared, history, seconds)
    bar.close()

    best = max(history, key=lambda row: row.f1)
    _load_weights(accelerator.unwrap_model(model), prepared.folder / CHECKPOINTS / f"epoch-{best.epoch}")
    return _finish(prepared, model, history, seconds, accelerator, accelerator.is_main_process)


def _save_loop_checkpoint(
    accelerator, model, prepared: Preparation, history: list[EpochMetrics], seconds: float
) -> None:
    """Write the state after an epoch beside its place, then move it there in one step."""
    home = prepared.folder / CHECKPOINTS
    final, partial = home / f"epoch-{len(history)}", home / f"{PARTIAL}{len(history)}"
    if accelerator.is_main_process:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(partial))  # each process adds its random states
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        accelerator.unwrap_model(model).config.save_pretrained(partial)
        prepared.tokenizer.save_pretrained(partial)
        previous = complete_checkpoints(prepared.folder)
        # The marker is written inside the partial folder: the rename makes folder and marker appear together.
        write_json(partial / COMPLETE, {"epochs": [asdict(row) for row in history], "seconds": seconds})
        partial.rename(final)
        for checkpoint in previous:
            drop_training_state(checkpoint)
    accelerator.wait_for_everyone()


def _resume_loop(accelerator, folder: Path) -> tuple[list[EpochMetrics], float, int]:
    found = complete_checkpoints(folder)
    if not found:
        return [], 0.0, 0
    content = json.loads((found[-1] / COMPLETE).read_text(encoding="utf-8"))
    accelerator.load_state(str(found[-1]))
    history = [EpochMetrics(**row) for row in content["epochs"]]
    return history, content["seconds"], len(history)


def _load_weights(model, checkpoint: Path) -> None:
    from safetensors.torch import load_file

    model.load_state_dict(load_file(checkpoint / "model.safetensors"))


# -------------------------------------------------------------------------------------------------------- Trainer


def train_with_trainer(
    output_dir: str | Path,
    *,
    corpus=None,
    checkpoint: str | Path | None = None,
    profile: Profile | str | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    seed: int | None = None,
    train_sentences: int | None = None,
    precision: str | None = None,
    layer_decay: float | None = None,
    batching: str = "tokens",
    trim: bool = True,
    byte_dropout: bool = True,
    resume: bool = False,
    progress: bool = True,
) -> TrainingResult:
    """Fine-tune with Transformers' ``Trainer``. Arguments, result and errors are those of ``train_with_accelerate``."""
    prepared = _prepare(
        "trainer", output_dir, corpus, checkpoint, profile, epochs, batch_size, learning_rate, seed, train_sentences,
        precision, layer_decay, batching, trim, byte_dropout, resume,
    )  # fmt: skip
    if isinstance(prepared, TrainingResult):
        return prepared
    from transformers import PrinterCallback, Trainer, TrainingArguments

    settings = prepared.settings
    divisor = prepared.labels_per_batch if settings.batching == "tokens" else None
    steps = len(prepared.batches) // settings.processes * settings.epochs
    clock = _clock(prepared.folder)

    class BatchedTrainer(Trainer):
        """Trainer with our batches and our parameter groups.

        Its own ``train_sampling_strategy`` knows sentences, not tokens, and its AdamW one learning rate for all layers.
        """

        def create_optimizer(self, *_):
            self.optimizer = self.optimizer or _adamw(prepared.model, settings)
            return self.optimizer

        def get_train_dataloader(self):
            loader = DataLoader(self.train_dataset, batch_sampler=prepared.batches, collate_fn=self.data_collator)
            self.accelerator.even_batches = False
            try:
                return self.accelerator.prepare_data_loader(loader)
            finally:
                self.accelerator.even_batches = True

        def evaluate(self, *_, metric_key_prefix="eval", **__):
            # Trainer's own evaluation knows the run's number format and pieces; this is the loop by hand's.
            found = _score(self.model_wrapped, prepared, prepared.validation, self.accelerator)
            metrics = {"loss": found.loss, **found.scores.overall()}
            metrics = {f"{metric_key_prefix}_{name}": value for name, value in metrics.items()}
            self.log(metrics)
            self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
            return metrics

    trainer = BatchedTrainer(
        model=prepared.model,
        args=TrainingArguments(
            output_dir=str(prepared.folder / CHECKPOINTS),
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=settings.batch_size,
            per_device_eval_batch_size=settings.eval_batch_size,
            learning_rate=settings.learning_rate,
            lr_scheduler_type="linear",
            warmup_steps=math.ceil(steps * settings.warmup_ratio),
            weight_decay=settings.weight_decay,
            max_grad_norm=settings.max_grad_norm,
            bf16=settings.precision == "bf16",
            fp16=settings.precision == "fp16",
            use_cpu=prepared.hardware.device == "cpu",
            dataloader_pin_memory=prepared.hardware.device == "cuda",
            eval_strategy="epoch",
            save_strategy="epoch",
            logging_strategy="epoch",
            load_best_model_at_end=True,
            metric_for_best_model="f1",
            greater_is_better=True,
            seed=settings.seed,
            # The sum over all labels is divided by our constant, not by the labels of all devices' batches.
            average_tokens_across_devices=False,
            remove_unused_columns=False,
            disable_tqdm=not progress,
            report_to="none",
        ),
        train_dataset=prepared.rows,
        eval_dataset=prepared.validation.rows,
        processing_class=prepared.tokenizer,
        data_collator=_collator(prepared.tokenizer),
        compute_loss_func=lambda outputs, labels, **_: token_loss(outputs.logits, labels, divisor),
        callbacks=[clock],
    )
    if not progress:
        trainer.remove_callback(PrinterCallback)  # it stands in for the bar and prints every log entry
    found = complete_checkpoints(prepared.folder)
    if found:
        clock.seconds = json.loads((found[-1] / COMPLETE).read_text(encoding="utf-8"))["seconds"]
    with contextlib.nullcontext() if progress else quiet_loading():
        trainer.train(resume_from_checkpoint=str(found[-1]) if found else None)
    history = epoch_metrics(trainer.state.log_history)
    # Trainer's own accelerator: the last evaluation computes in the number format of the others.
    return _finish(
        prepared, trainer.model, history, clock.seconds, trainer.accelerator, trainer.is_world_process_zero()
    )


def epoch_metrics(log_history: list[dict]) -> list[EpochMetrics]:
    """The rows of the table from ``trainer.state.log_history``, which holds losses and scores as separate entries."""
    losses = {round(row["epoch"]): row["loss"] for row in log_history if "loss" in row}
    return [
        EpochMetrics(
            epoch=(epoch := round(row["epoch"])),
            train_loss=float(losses[epoch]),
            eval_loss=float(row["eval_loss"]),
            **{name: float(row[f"eval_{name}"]) for name in ("precision", "recall", "f1", "accuracy")},
        )
        for row in log_history
        if "eval_f1" in row
    ]


def _clock(folder: Path):
    """A Trainer callback that times the training steps and marks checkpoints as complete."""
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        seconds = 0.0
        started = 0.0

        def on_epoch_begin(self, args, state, control, **_):
            self.started = time.perf_counter()

        def on_epoch_end(self, args, state, control, **_):
            self.seconds += time.perf_counter() - self.started

        def on_save(self, args, state, control, **_):
            if not state.is_world_process_zero:
                return
            previous = complete_checkpoints(folder)
            checkpoint = folder / CHECKPOINTS / f"checkpoint-{state.global_step}"
            write_json(checkpoint / COMPLETE, {"seconds": self.seconds})
            for older in previous:
                if older != checkpoint:
                    drop_training_state(older)

    return Clock()
