"""Two real processes on CPU score and train as one does, whatever the number of sentences."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from hub_server import closed_port
from miniature import name_corpus, process_server, save_corpus, save_encoder, save_lookup_model
from torch.utils.data import DataLoader
from transformers import AutoModelForTokenClassification, DataCollatorForTokenClassification

from ner_tutorial import encode_for_evaluation, evaluate_model, load_corpus, load_result, load_tokenizer
from ner_tutorial.collation import EpochBatches
from ner_tutorial.fast.precision import fast_precision

pytestmark = pytest.mark.slow

SIZES = (1, 2, 7, 8, 9, 16, 17, 37, 64, 101)
BATCH = 8


def score_and_share(rank: int, port: int, inputs: dict[str, str], out: Path) -> None:
    """One of two processes: score the first sentences of a split, for all sizes, and share the batches of training."""
    launched = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in launched.items()}, ACCELERATE_USE_CPU="true")
    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True, mixed_precision=fast_precision("cpu"))
    test = load_corpus(inputs["corpus"])["test"]
    tokenizer = load_tokenizer(inputs["model"])
    model = AutoModelForTokenClassification.from_pretrained(inputs["model"]).eval()
    answer = {"processes": accelerator.num_processes, "sizes": {}}
    for size in SIZES:
        dataset = test.select(range(size))
        found = evaluate_model(model, dataset, tokenizer, batch_size=BATCH, accelerator=accelerator)
        # What the usual loop counts that gathers with ``gather``, and the width of each process's first batch.
        rows = encode_for_evaluation(dataset, tokenizer).rows
        loader = accelerator.prepare_data_loader(
            DataLoader(rows, batch_size=BATCH, collate_fn=DataCollatorForTokenClassification(tokenizer))
        )
        ends = [torch.ones(len(b["labels"]), device=accelerator.device) for b in loader]
        widths = [b["labels"].shape[1] for b in loader]
        answer["sizes"][size] = {
            "predictions": found.predictions, "loss": found.loss, "scores": found.scores.to_dict(),
            "scored": len(found.predictions), "gathered": sum(len(accelerator.gather(e)) for e in ends),
            "widths": accelerator.gather(torch.tensor([widths[0]])).tolist(),
        }  # fmt: skip

    # The batches of training: two epochs, as the processes see them.
    lengths = [3 + i * 7 % 40 for i in range(45)]
    batches = EpochBatches(lengths, 4, 2, seed=1, processes=accelerator.num_processes)
    accelerator.even_batches = False
    loader = accelerator.prepare_data_loader(DataLoader(list(range(45)), batch_sampler=batches, collate_fn=list))
    answer["epochs"] = []
    for epoch in range(2):
        batches.set_epoch(epoch)
        shared = [None] * accelerator.num_processes
        torch.distributed.all_gather_object(shared, [list(b) for b in loader])
        answer["epochs"].append(shared)
    every = [None] * accelerator.num_processes
    torch.distributed.all_gather_object(every, answer["sizes"])
    assert all(other == answer["sizes"] for other in every), "each process returns the whole result"
    if accelerator.is_main_process:
        out.write_text(json.dumps(answer), encoding="utf-8")
    accelerator.end_training()


def in_two_processes(*arguments: str) -> subprocess.CompletedProcess:
    """``torchrun`` on a free port, on the CPU, one thread a process. ``accelerate launch`` was seen to start one only."""
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", *arguments]
    # A collective that waits for a process in vain waits long: the time limit ends it here.
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> dict[str, str]:
    """A corpus with 101 test sentences of different lengths, in a folder, and a model whose answers are known."""
    corpus = name_corpus(noise=0.15, sizes={"train": 45, "validation": 21, "test": 101})
    lookup = str(save_lookup_model(tmp_path_factory.mktemp("lookup")))
    return {
        "corpus": save_corpus(tmp_path_factory.mktemp("corpus"), corpus),
        "model": lookup,
        "encoder": save_encoder(tmp_path_factory.mktemp("encoder"), lookup),
    }


@pytest.fixture(scope="module")
def answer(shared, tmp_path_factory) -> dict:
    """What two processes found, for all sizes."""
    out, port = tmp_path_factory.mktemp("answer") / "answer.json", closed_port()
    start = process_server().Process
    processes = [start(target=score_and_share, args=(rank, port, shared, out), daemon=True) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(240)  # a collective that waits for a process in vain waits long
    assert [process.exitcode for process in processes] == [0, 0]
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["processes"] == 2
    return found


@pytest.fixture(scope="module")
def alone(shared) -> dict:
    """What this one process finds."""
    test = load_corpus(shared["corpus"])["test"]
    model = AutoModelForTokenClassification.from_pretrained(shared["model"]).eval()
    tokenizer = load_tokenizer(shared["model"])
    return {size: evaluate_model(model, test.select(range(size)), tokenizer, batch_size=BATCH) for size in SIZES}


@pytest.mark.parametrize("size", SIZES)
def test_erratum_04_two_processes_score_every_sentence_once_as_one_process_does(answer, alone, size):
    two, one = answer["sizes"][str(size)], alone[size]
    assert two["scored"] == size
    assert two["predictions"] == one.predictions
    assert two["scores"] == one.scores.to_dict()
    assert two["loss"] == pytest.approx(one.loss, rel=1e-6)


def test_erratum_04_gather_would_have_counted_sentences_twice(answer):
    counted = {size: answer["sizes"][str(size)]["gathered"] for size in SIZES}
    assert counted[101] == 112
    assert counted[64] == 64, "only where the sizes divide is nothing counted twice"
    assert all(counted[size] > size for size in SIZES if size % (2 * BATCH))


def test_erratum_05_processes_hold_batches_of_different_width(answer):
    """Without padding across processes these could not be gathered: the launch above would have failed or hung."""
    widths = answer["sizes"]["101"]["widths"]
    assert len(widths) == 2
    assert len(set(widths)) == 2
    assert answer["sizes"]["101"]["scored"] == 101


def test_the_scores_compared_are_neither_0_nor_1(alone):
    assert 0.3 < alone[101].scores.f1 < 1


def test_two_processes_share_the_training_rows_of_every_epoch(answer):
    plans = []
    for first, second in answer["epochs"]:
        assert len(first) == len(second) > 0, "a process that runs out of batches would leave the other waiting"
        rows = [row for batch in [*first, *second] for row in batch]
        assert sorted(rows) == list(range(45))
        plans.append(first)
    assert plans[0] != plans[1], "another epoch, other batches"


def test_training_by_two_processes_ends_in_a_model_that_one_process_scores_the_same(shared, tmp_path):
    output = tmp_path / "run"
    arguments = [
        "-m", "ner_tutorial", "train", "--loop", "accelerate", "--corpus", shared["corpus"], "--checkpoint",
        shared["encoder"], "--output", str(output), "--epochs", "3", "--batch-size", "2", "--learning-rate", "1e-2",
    ]  # fmt: skip
    done = in_two_processes(*arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads((output / "run.json").read_text(encoding="utf-8"))["processes"] == 2
    assert done.stdout.count("best epoch") == 1, "one process reports"
    result = load_result(output)
    assert [row.epoch for row in result.epochs] == [1, 2, 3]
    assert result.epochs[-1].train_loss < result.epochs[0].train_loss
    test = load_corpus(shared["corpus"])["test"]
    found = evaluate_model(AutoModelForTokenClassification.from_pretrained(output).eval(), test, load_tokenizer(output))
    assert len(found.predictions) == 101
    assert found.scores == result.test
    assert 0.3 < result.test.f1 < 1
