"""Score an epoch, choose the best, and save it: what both loops do after training steps.

Taught in chapter 5 (the best epoch) and chapter 6 (erratum 14: the last epoch is not always the best).
"""

import contextlib
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import torch

from ner_tutorial import fast
from ner_tutorial.encoders import quiet_loading
from ner_tutorial.evaluation import Evaluation, EvaluationSet, evaluate_model
from ner_tutorial.files import PARTIAL
from ner_tutorial.text_check import check_text_agrees
from ner_tutorial.training.checkpoints import (
    WEIGHTS,
    clear_older,
    damage,
    one_line_if_disk_is_full,
    record_scores,
)
from ner_tutorial.training.preparation import Plan, Run, finished_result, prepare
from ner_tutorial.training.results import (
    EpochMetrics,
    History,
    TrainingResult,
    one_line_if_memory_is_full,
    ranking,
    remark_on_choice,
    remark_on_skipped_steps,
    require_finite,
    save_result,
)
from ner_tutorial.training.run_folder import claim_folder, hold_folder

log = logging.getLogger("ner_tutorial")


def carry_out(plan: Plan, train: Callable) -> TrainingResult:
    """A run from its plan to its result; nothing is done again if it is finished.

    Args:
        train: a loop, from a ``Run`` to its (history, accelerator).
    """
    from accelerate import PartialState

    if result := finished_result(plan):
        return result
    state = PartialState()
    with hold_folder(plan.folder) if state.is_main_process else contextlib.nullcontext():
        run = prepare(plan)
        if state.is_main_process:
            claim_folder(plan.folder, run.settings)  # not before all is ready: what fails until here leaves nothing
        state.wait_for_everyone()
        speed = {"trim": run.settings.trim, "byte_dropout": run.settings.byte_dropout}
        with one_line_if_memory_is_full(run.settings.batch_size, run.folder):
            with fast.speed_up(run.model, run.rows, run.hardware, **speed):
                history, accelerator = train(run)
            # Outside speed_up: what is scored and saved is the plain model.
            return finish(run, history, accelerator)


def require_finite_weights(run: Run, epoch: int) -> None:
    """Raise ``DivergedError`` if a weight is NaN or infinite, so that such a model is never saved."""
    for name, weight in run.model.named_parameters():
        if not torch.isfinite(weight).all():
            require_finite(float("nan"), f"the weight {name} after epoch {epoch}", run.settings.precision)


def score_epoch(run: Run, history: History, model, accelerator) -> EpochMetrics:
    """Score the epoch that was saved last, and write its row into the history and into its checkpoint.

    Args:
        history: with the epoch's training loss as ``unscored``.
        model: the model as the accelerator prepared it.

    Raises:
        DivergedError: the validation loss is no number.
    """
    epoch = history.trained
    # The random states were saved before this; a DataLoader draws from them, which a resumed run would not repeat.
    with torch.random.fork_rng(devices=[]):
        scored = _evaluate(run, run.validation, model, accelerator)
    require_finite(scored.loss, f"the validation loss of epoch {epoch}", run.settings.precision)
    row = EpochMetrics(epoch, history.unscored, scored.loss, **scored.scores.overall())  # by name: no order to mix up
    history.epochs.append(row)
    history.unscored = None  # scored now, so a resumed run does not score it again
    if accelerator.is_main_process:
        record_scores(run.checkpoint(epoch), history)
        clear_older(run.folder)  # every model stays: an older one may yet be the best
    accelerator.wait_for_everyone()
    return row


def _evaluate(run: Run, split: EvaluationSet, model, accelerator) -> Evaluation:
    """The one way in which both loops score, after each epoch and at the end: word level, in float32."""
    size = run.settings.eval_batch_size
    return evaluate_model(model, split, run.tokenizer, batch_size=size, accelerator=accelerator)


def finish(run: Run, history: History, accelerator) -> TrainingResult:
    """Load the best epoch, score it on both splits, save it, and write ``metrics.json`` last."""
    from safetensors.torch import load_model

    settings, best = run.settings, _best_whole(run, history)
    if run.validation.references:
        remark_on_choice(history.epochs, run.entities, run.steps)
    else:
        log.warning("The validation split holds no sentence to choose an epoch by, so the last one is kept.")
    remark_on_skipped_steps(history.skipped, run.steps)
    # The same object as run.model: what Accelerate put around its forward method is taken off.
    model = accelerator.unwrap_model(run.model, keep_fp32_wrapper=False)
    load_model(model, run.checkpoint(best.epoch) / WEIGHTS, device=str(model.device))
    # The test split is scored here for the first time, so nothing was chosen by it.
    validation, test = (_evaluate(run, split, model, accelerator) for split in (run.validation, run.test))
    check_text_agrees(model, run.validation_split, run.encoder, accelerator=accelerator)  # warns if text scores lower
    result = TrainingResult(
        model_dir=run.folder,
        epochs=history.epochs,
        best_epoch=best.epoch,
        validation=validation.scores,
        test=test.scores,
        train_runtime_s=history.seconds,
        train_sentences_per_second=run.sentences * settings.epochs / history.seconds if history.seconds else 0.0,
    )
    if accelerator.is_main_process:
        with one_line_if_disk_is_full(run.folder):
            save_model(model, run.tokenizer, run.folder)
            save_result(result)  # last: a folder with metrics.json holds a finished run
    accelerator.wait_for_everyone()
    return result


def _best_whole(run: Run, history: History) -> EpochMetrics:
    """The best epoch whose weights are as they were saved; the last one where there is nothing to choose by."""
    order = ranking(history.epochs) if run.validation.references else history.epochs[::-1]
    for row in order:
        checkpoint = run.checkpoint(row.epoch)
        reason = damage(checkpoint, (WEIGHTS,))
        if not reason:
            return row
        log.warning(
            "The model of epoch %d in %s is damaged (%s), so the next best is kept.", row.epoch, checkpoint, reason
        )
    raise ValueError(f"no checkpoint in {run.folder} holds a whole model; train again in another folder")


def save_model(model, tokenizer, folder: Path) -> None:
    """Save model and tokenizer together: a process that is killed here leaves no folder that passes for a model.

    All files are written beside their places first. ``config.json``, without which nobody takes the folder for a
    model, moves last.
    """
    (folder / "config.json").unlink(missing_ok=True)
    partial = folder / f"model{PARTIAL}.{os.getpid()}"
    try:
        with quiet_loading():
            model.save_pretrained(partial)
            tokenizer.save_pretrained(partial)
        for path in sorted(partial.iterdir(), key=lambda path: path.name == "config.json"):
            path.replace(folder / path.name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
