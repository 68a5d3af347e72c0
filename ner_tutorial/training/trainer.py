"""Training with Transformers' ``Trainer``.

Taught in chapter 5.
"""

import contextlib
import math
import time
from pathlib import Path

from torch.utils.data import DataLoader

from ner_tutorial import fast
from ner_tutorial.collation import token_loss
from ner_tutorial.encoders import quiet_loading
from ner_tutorial.profiles import Profile
from ner_tutorial.training.checkpoints import (
    CHECKPOINTS,
    last_whole,
    mark_whole,
    one_line_if_disk_is_full,
    reading_numbers_only,
)
from ner_tutorial.training.preparation import Run, adamw, collator, plan_run
from ner_tutorial.training.results import History, LossMeter, TrainingResult
from ner_tutorial.training.scoring import carry_out, require_finite_weights, score_epoch
from ner_tutorial.training.settings import takes_settings


@takes_settings
def train_with_trainer(
    output_dir: str | Path,
    *,
    corpus=None,
    profile: Profile | str | None = None,
    resume: bool = False,
    progress: bool = True,
    **overrides,
) -> TrainingResult:
    """Fine-tune with Transformers' ``Trainer``. Result and errors are those of ``train_with_accelerate``.

    Args:
        output_dir: a new or empty folder; the best model, the tokenizer, ``metrics.json`` and the checkpoints go there.
        corpus: a ``DatasetDict`` as ``load_corpus`` gives it, or a source for ``load_corpus``.
        profile: a ``Profile`` or its name; default, the active one.
        resume: continue the run in ``output_dir`` after its last whole checkpoint. Its settings must be the same.
        progress: show a progress bar.
        {settings}
    """
    plan = plan_run("trainer", output_dir, corpus, profile, {**overrides, "resume": resume})
    return carry_out(plan, lambda run: _train(run, progress))


def _train(run: Run, progress: bool):
    """All epochs, each saved and then scored. Returns the history and Trainer's accelerator."""
    from transformers import PrinterCallback, Trainer

    checkpoint, history = last_whole(run.folder)
    epochs = _epochs(run, history)

    class BatchedTrainer(Trainer):
        """Trainer with our batches and our parameter groups.

        Its own ``train_sampling_strategy`` knows sentences, not tokens, and its AdamW one learning rate for all layers.
        """

        def create_optimizer(self, *_):
            self.optimizer = self.optimizer or adamw(run.model, run.settings)
            return self.optimizer

        def get_train_dataloader(self):
            ahead = fast.loading_ahead(run.hardware)
            loader = DataLoader(self.train_dataset, batch_sampler=run.batches, collate_fn=self.data_collator, **ahead)
            self.accelerator.even_batches = False  # the batches divide by the number of processes already
            try:
                return self.accelerator.prepare_data_loader(loader)
            finally:
                self.accelerator.even_batches = True

        def evaluate(self, *_, **__):
            # Trainer's own evaluation would score pieces; this is the loop's, which scores words.
            row = score_epoch(run, history, self.model_wrapped, self.accelerator)
            self.log({"eval_loss": row.eval_loss, "eval_f1": row.f1})

    trainer = BatchedTrainer(
        model=run.model,
        args=_arguments(run, progress),
        train_dataset=run.rows,
        processing_class=run.tokenizer,
        data_collator=collator(run.tokenizer),
        compute_loss_func=epochs.loss,  # instead of the model's own mean over the labels of a batch
        callbacks=[epochs],
    )
    epochs.trainer = trainer
    if not progress:
        trainer.remove_callback(PrinterCallback)  # it stands in for the bar and prints every log entry
    quiet = contextlib.nullcontext() if progress else quiet_loading()
    with quiet, one_line_if_disk_is_full(run.folder), reading_numbers_only(checkpoint):
        try:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        finally:
            for callback in trainer.callback_handler.callbacks:
                if getattr(callback, "training_bar", None):
                    callback.training_bar.close()  # or the message of an error would stand behind it on its line
    return history, trainer.accelerator


def _arguments(run: Run, progress: bool):
    from transformers import TrainingArguments

    settings = run.settings
    return TrainingArguments(
        output_dir=str(run.folder / CHECKPOINTS),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=math.ceil(run.steps * settings.warmup_ratio),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        bf16=settings.precision == "bf16",
        fp16=settings.precision == "fp16",
        use_cpu=run.hardware.device == "cpu",
        dataloader_pin_memory=run.hardware.device == "cuda",
        accelerator_config={"non_blocking": run.hardware.device == "cuda"},
        save_strategy="epoch",
        logging_strategy="epoch",
        # Not "epoch": Trainer would score before it saves, and a fault there would lose the epoch. The callback below
        # scores after saving, and the best epoch is loaded at the end (load_best_model_at_end does not look at the loss).
        eval_strategy="no",
        logging_nan_inf_filter=False,  # a loss that is no number must be seen
        seed=settings.seed,
        # The sum over all labels is divided by our constant, not by the labels of all devices' batches.
        average_tokens_across_devices=False,
        remove_unused_columns=False,  # a row holds only what the model reads
        disable_tqdm=not progress,
        report_to="none",  # nothing is sent anywhere
    )


def _epochs(run: Run, history: History):
    """A Trainer callback that times the training steps, marks checkpoints as whole, and has each epoch scored."""
    from transformers import TrainerCallback

    class Epochs(TrainerCallback):
        trainer = None
        meter: LossMeter
        started = 0.0

        def loss(self, outputs, labels, **_):
            loss = token_loss(outputs.logits, labels, run.divisor)  # logits: (batch, tokens, labels)
            self.meter.add(loss)
            return loss

        def on_train_begin(self, args, state, control, **_):
            if history.unscored is not None:  # the run died between saving and scoring
                self.trainer.evaluate()

        def on_optimizer_step(self, args, state, control, **_):
            history.skipped += bool(self.trainer.accelerator.optimizer_step_was_skipped)  # float16 out of range

        def on_epoch_begin(self, args, state, control, **_):
            self.meter, self.started = LossMeter(history.trained + 1, run.settings.precision), time.perf_counter()

        def on_epoch_end(self, args, state, control, **_):
            history.unscored = self.meter.mean(self.trainer.accelerator)  # now history.trained counts this epoch too
            history.seconds += time.perf_counter() - self.started
            require_finite_weights(run, history.trained)

        def on_save(self, args, state, control, **_):
            if state.is_world_process_zero:
                mark_whole(run.checkpoint(history.trained), history)
            self.trainer.evaluate()

    return Epochs()
