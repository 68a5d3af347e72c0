"""The training loop by hand, on Accelerate.

Taught in chapter 6, line by line.
"""

import contextlib
import json
import math
import time
from pathlib import Path

from torch.utils.data import DataLoader

from ner_tutorial import fast
from ner_tutorial.collation import token_loss
from ner_tutorial.files import new_folder, write_json
from ner_tutorial.profiles import Profile
from ner_tutorial.training.checkpoints import (
    SCHEDULE,
    last_whole,
    mark_whole,
    one_line_if_disk_is_full,
    reading_numbers_only,
    remove_if_ours,
)
from ner_tutorial.training.preparation import Run, adamw, collator, plan_run
from ner_tutorial.training.results import History, LossMeter, TrainingResult
from ner_tutorial.training.scoring import carry_out, require_finite_weights, score_epoch
from ner_tutorial.training.settings import takes_settings


@takes_settings
def train_with_accelerate(
    output_dir: str | Path,
    *,
    corpus=None,
    profile: Profile | str | None = None,
    resume: bool = False,
    progress: bool = True,
    **overrides,
) -> TrainingResult:
    """Fine-tune with a loop of our own on Accelerate. What is not given comes from the profile.

    Args:
        output_dir: a new or empty folder; the best model, the tokenizer, ``metrics.json`` and the checkpoints go there.
        corpus: a ``DatasetDict`` as ``load_corpus`` gives it, or a source for ``load_corpus``.
        profile: a ``Profile`` or its name; default, the active one.
        resume: continue the run in ``output_dir`` after its last whole checkpoint. Its settings must be the same.
        progress: show a progress bar.
        {settings}

    Raises:
        FileExistsError: ``output_dir`` holds another run or other files, or another process trains there.
        TypeError: there is no setting of a name that was given, or its value has another type.
        DivergedError: the loss is no number any more.
        FileNotFoundError, OSError, ValueError: corpus, checkpoint or settings cannot be used; the message says why.
    """
    plan = plan_run("accelerate", output_dir, corpus, profile, {**overrides, "resume": resume})
    return carry_out(plan, lambda run: _train(run, progress))


def _train(run: Run, progress: bool):
    """All epochs, each saved and then scored. Returns the history and the accelerator."""
    from tqdm.auto import tqdm
    from transformers import get_scheduler, set_seed

    settings = run.settings
    accelerator = _accelerator(run)
    ahead = fast.loading_ahead(run.hardware)
    loader = DataLoader(run.rows, batch_sampler=run.batches, collate_fn=collator(run.tokenizer), **ahead)
    model, optimizer = accelerator.prepare(run.model, adamw(run.model, settings))
    # Every process takes its own batches; their number is a multiple of the number of processes already.
    accelerator.even_batches = False
    loader = accelerator.prepare(loader)
    accelerator.even_batches = True
    # Accelerate steps a prepared schedule once a process; ours counts real steps, so it stays unprepared.
    schedule = get_scheduler("linear", optimizer, math.ceil(run.steps * settings.warmup_ratio), run.steps)
    # Other dropout on every process; on one process the same stream as Trainer's.
    set_seed(settings.seed + accelerator.process_index)
    history = _resume(run, accelerator, schedule)
    if history.unscored is not None:  # the run died between saving and scoring
        score_epoch(run, history, model, accelerator)

    silent = not (progress and accelerator.is_main_process)
    with tqdm(total=run.steps, initial=run.steps_per_epoch * history.trained, disable=silent) as bar:
        for epoch in range(history.trained, settings.epochs):
            # Both: the loader counts from 0 by itself, in a resumed run too, and cannot reach the batches where several
            # processes share them.
            run.batches.set_epoch(epoch)
            loader.set_epoch(epoch)
            model.train()  # dropout on; a model is loaded with it off
            meter, started = LossMeter(epoch + 1, settings.precision), time.perf_counter()
            for batch in loader:
                labels = batch.pop("labels")  # (batch, tokens), -100 where nothing is counted
                with accelerator.autocast():  # matrix products in the run's number format
                    logits = model(**batch).logits  # (batch, tokens, labels)
                loss = token_loss(logits, labels, run.divisor)  # ()
                accelerator.backward(loss)  # averages gradients over processes, scales them in float16
                if settings.max_grad_norm:
                    # All gradients are scaled together if they are longer, as one vector, than this.
                    accelerator.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
                optimizer.step()
                if accelerator.optimizer_step_was_skipped:  # float16: a gradient was out of range, the weights stay
                    history.skipped += 1
                else:
                    schedule.step()  # once per step, not per epoch
                optimizer.zero_grad()  # or the next backward would add to these gradients
                meter.add(loss)
                bar.update()
            history.unscored = meter.mean(accelerator)  # trained, not scored: so the checkpoint says
            history.seconds += time.perf_counter() - started

            _save_checkpoint(run, history, accelerator, schedule)  # before scoring: no fault there loses the epoch
            row = score_epoch(run, history, model, accelerator)
            bar.set_postfix(epoch=row.epoch, loss=f"{row.train_loss:.3f}", f1=f"{row.f1:.3f}")
    return history, accelerator


def _accelerator(run: Run):
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.utils import DataLoaderConfiguration

    # Accelerate keeps the number format of the program's first Accelerator; an earlier run may have had another.
    if AcceleratorState._shared_state and AcceleratorState().mixed_precision != run.settings.precision:
        AcceleratorState._reset_state()
    return Accelerator(
        mixed_precision=run.settings.precision,
        cpu=run.hardware.device == "cpu",
        dataloader_config=DataLoaderConfiguration(non_blocking=run.hardware.device == "cuda"),
    )


def _save_checkpoint(run: Run, history: History, accelerator, schedule) -> None:
    """Write the state after an epoch beside its place, then move it there in one step."""
    epoch, main = history.trained, accelerator.is_main_process
    require_finite_weights(run, epoch)
    final = run.checkpoint(epoch)
    if main and not remove_if_ours(final):  # an older one of this run, damaged or from before a fall-back
        raise FileExistsError(f"{final} is in the way and was not made by this program; move it elsewhere")
    with one_line_if_disk_is_full(run.folder), new_folder(final) if main else contextlib.nullcontext() as partial:
        partial = _from_main(partial)
        accelerator.save_state(str(partial))  # each process adds its random states
        accelerator.wait_for_everyone()
        if main:
            # A registered object would be pickled, and unpickling can run code: the schedule goes into a file of numbers.
            write_json(partial / SCHEDULE, schedule.state_dict())
            run.model.config.save_pretrained(partial)
            run.tokenizer.save_pretrained(partial)
            mark_whole(partial, history)  # inside: the rename makes folder and mark appear together
    accelerator.wait_for_everyone()


def _from_main(value):
    """The value that the main process has, in every process."""
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([value])[0]


def _resume(run: Run, accelerator, schedule) -> History:
    """Load the last whole checkpoint, if there is one, into all that was prepared."""
    from accelerate.utils import load

    checkpoint, history = last_whole(run.folder)
    if checkpoint is not None:
        with reading_numbers_only(checkpoint):
            # Accelerate goes on without a word if it cannot read these, and then the run would no longer repeat.
            load(checkpoint / f"random_states_{accelerator.process_index}.pkl")
            accelerator.load_state(str(checkpoint))
        schedule.load_state_dict(json.loads((checkpoint / SCHEDULE).read_text(encoding="utf-8")))
    return history
