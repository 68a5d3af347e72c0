"""Loading and sharing against the real clients and a Hub on the loopback: the right answers, and every fault."""

import json
import subprocess
import sys
import time
from pathlib import Path

import huggingface_hub
import pytest
import yaml
from datasets import ClassLabel, Dataset, Features, List, Value
from hub_server import OWNER, TOKEN, HubServer, client_environment, closed_port
from miniature import SIZES, parquet_files, sentences, write_bert
from packaging.version import Version

from ner_tutorial import Profile, Scores, TrainingResult, get_profile, model_card, push_model
from ner_tutorial.labels import NER_NAMES
from ner_tutorial.metrics import TypeScore
from ner_tutorial.training import EpochMetrics

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# The older clients keep what they have of a file, under a name that nobody reads, and go on from there the next time.
RESUMES_LATER = Version(huggingface_hub.__version__) < Version("2")
FIRST, SECOND = "lhoestq/conll2003", "eriktks/conll2003"
CORPUS = 'answer = {split: len(rows) for split, rows in load_corpus("conll2003").items()}'
TOKENIZER = 'answer = load_tokenizer("bert-base-cased").tokenize("Oslo said")'
MODEL = 'answer = load_model("bert-base-cased").config.num_labels'

# The reader's program: runs the code of each line that comes in, and answers with its result or its error.
READER = """
import json, logging, os, sys
warnings = []
class Keep(logging.Handler):
    def emit(self, record):
        warnings.append(record.getMessage())
logging.getLogger("ner_tutorial").addHandler(Keep())
from ner_tutorial import *
from ner_tutorial.hub.download import downloaded_model
out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
for line in sys.stdin:
    space = dict(globals())
    warnings.clear()
    downloaded_model.cache_clear()
    try:
        exec(json.loads(line), space)
        found = {"answer": space.get("answer")}
    except Exception as error:
        found = {"error": str(error), "kinds": [kind.__name__ for kind in type(error).__mro__]}
    print(json.dumps(found | {"warnings": list(warnings)}), file=out, flush=True)
"""


class Reader:
    """A program of its own with the real clients, told what to run line by line: starting one takes seconds."""

    def __init__(self, folder: Path, environment: dict[str, str]):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.errors = (folder / "stderr.txt").open("w+", encoding="utf-8")
        self.program = subprocess.Popen(
            [sys.executable, "-c", READER], env=environment, cwd=folder, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self.errors,
        )  # fmt: skip

    def run(self, code: str) -> dict:
        self.program.stdin.write(json.dumps(code) + "\n")
        self.program.stdin.flush()
        line = self.program.stdout.readline()
        assert line, "the reader's program has ended: " + self.said()[-2000:]
        return json.loads(line)

    def refused(self, code: str) -> str:
        """The message of the error that ``code`` must raise: one line, of a kind that the command line expects."""
        found = self.run(code)
        assert "error" in found, found
        assert {"OSError", "ValueError"} & set(found["kinds"]), found
        assert "\n" not in found["error"]
        assert len(found["error"]) < 900
        return found["error"]

    def said(self) -> str:
        self.errors.flush()
        return (self.folder / "stderr.txt").read_text(encoding="utf-8")

    def forget(self) -> None:
        """Empty the caches, as on a new machine."""
        import shutil

        for name in ("hub", "datasets"):
            shutil.rmtree(self.folder / "hf" / name, ignore_errors=True)

    def leftovers(self) -> list[str]:
        """Half-written files, and whatever was kept of a data set or of weights."""
        files = [path for path in (self.folder / "hf").rglob("*") if path.is_file()]
        kept = [path for path in files if path.suffix in (".arrow", ".parquet", ".safetensors")]
        if RESUMES_LATER:
            files = []
        return [str(path) for path in [*kept, *(path for path in files if "incomplete" in path.name)]]

    def close(self) -> None:
        self.program.stdin.close()
        self.program.wait(30)
        self.errors.close()


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Path:
    return write_bert(tmp_path_factory.mktemp("bert") / "bert-base-cased")


@pytest.fixture(scope="module")
def corpus_files() -> dict[str, bytes]:
    return parquet_files() | {"README.md": b"---\nlicense: other\n---\n# CoNLL-2003, in miniature\n"}


@pytest.fixture(scope="module")
def server():
    with HubServer() as hub:
        yield hub


@pytest.fixture(scope="module")
def program(server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    reader = Reader(folder, server.environment(folder, NER_TUTORIAL_PROFILE="full"))
    yield reader
    reader.close()


@pytest.fixture
def hub(server, corpus_files, bert):
    """The server with both copies of the corpus and the model, without faults and without what a test uploaded."""
    server.repositories.clear()
    server.objects.clear()
    server.faults.clear()
    server.log.clear()
    server.add("dataset", FIRST, corpus_files)
    server.add("dataset", SECOND, parquet_files("conll2003/{}/0000.parquet"), branch="refs/convert/parquet")
    server.add_folder("model", "bert-base-cased", bert)
    return server


@pytest.fixture
def reader(program, hub):
    program.forget()
    return program


def only(hub, name: str) -> None:
    """Take the other copy of the corpus away."""
    del hub.repositories["dataset", SECOND if name == FIRST else FIRST]


# --------------------------------------------------------------------------------------------------------- the corpus


def test_corpus_is_loaded_from_the_first_copy(reader, hub):
    found = reader.run(CORPUS)
    assert found["answer"] == SIZES
    assert not hub.asked(SECOND)
    # The miniature is no CoNLL-2003, and the reader is told so.
    assert len(found["warnings"]) == 1
    assert "differs from CoNLL-2003 in its number of sentences: train 60 (CoNLL-2003: 14041)" in found["warnings"][0]


def test_corpus_is_what_was_put_there(reader, hub):
    found = reader.run(
        'rows = load_corpus("conll2003")["train"]\n'
        'answer = [list(rows["tokens"]), list(rows["ner_tags"]), list(rows["pos_tags"])]'
    )
    words, tags, _ = found["answer"]
    assert words == [row.tokens for row in sentences("train")]
    assert [[NER_NAMES[i] for i in row] for row in tags] == [row.ner_tags for row in sentences("train")]


def test_second_copy_at_its_revision_is_taken_when_the_first_is_not_there(reader, hub):
    only(hub, SECOND)
    assert reader.run(CORPUS)["answer"] == SIZES
    assert hub.asked(rf"/api/datasets/{FIRST}")
    assert hub.asked(rf"/api/datasets/{SECOND}/revision/refs%2Fconvert%2Fparquet")


def test_second_load_is_from_the_cache_even_without_the_hub(reader, hub):
    reader.run(CORPUS)
    downloads = len(hub.asked(r"^GET .*parquet$"))
    reader.run(CORPUS)
    assert len(hub.asked(r"^GET .*parquet$")) == downloads
    found = reader.run(
        "from huggingface_hub import constants\nimport datasets.config\n"
        "constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True\n"
        f"try:\n    {CORPUS}\nfinally:\n    constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = False"
    )
    assert found["answer"] == SIZES


def test_no_copy_at_all_is_one_line_with_both_names_and_the_ways_out(reader, hub):
    hub.repositories.clear()
    message = reader.refused(CORPUS)
    for part in (FIRST, SECOND, "not there", "NER_TUTORIAL_CORPUS", "NER_TUTORIAL_PROFILE=quick"):
        assert part in message


def test_too_many_requests_is_said_at_once(reader, hub):
    hub.fail("GET /api/datasets", status=429)
    started = time.perf_counter()
    assert "(429)" in reader.refused(CORPUS)
    assert time.perf_counter() - started < 15
    assert not reader.leftovers()


def test_too_many_requests_for_a_moment_is_waited_for(reader, hub):
    hub.fail("GET .*train.*parquet$", status=429, times=1, Retry_After="1")
    assert reader.run(CORPUS)["answer"] == SIZES


def test_connection_cut_once_is_resumed(reader, hub):
    hub.fail("GET .*train.*parquet$", "cut", times=1)
    assert reader.run(CORPUS)["answer"] == SIZES
    assert len(hub.asked("GET .*train.*parquet$")) == 2


def test_connection_cut_again_and_again_leaves_nothing(reader, hub):
    only(hub, FIRST)
    hub.fail("GET .*test.*parquet$", "cut")  # the first file of the three
    message = reader.refused(CORPUS)
    assert "data/test-00000-of-00001.parquet" in message
    assert not reader.leftovers()


@pytest.mark.parametrize(("fault", "part"), [("corrupt", "has not the hash"), ("size", "should be of size")])
def test_wrong_file_is_refused_deleted_and_had_right_the_next_time(reader, hub, fault, part):
    only(hub, FIRST)
    hub.fail(".*test.*parquet$", fault)
    message = reader.refused(CORPUS)
    assert part in message
    assert "data/test-00000-of-00001.parquet" in message
    assert not reader.leftovers()
    hub.faults.clear()
    assert reader.run(CORPUS)["answer"] == SIZES


def test_wrong_file_at_the_first_copy_leads_to_the_second(reader, hub):
    hub.fail(f".*{FIRST}.*parquet$", "corrupt")
    assert reader.run(CORPUS)["answer"] == SIZES


def rows_with(names) -> Dataset:
    features = Features({"tokens": List(Value("string")), "ner_tags": List(ClassLabel(names=list(names)))})
    return Dataset.from_dict({"tokens": [["Oslo", "won"]], "ner_tags": [[list(names).index("B-LOC"), 0]]}, features)


def put(hub, rows: Dataset) -> None:
    hub.repositories.clear()
    hub.add("dataset", FIRST, parquet_files(train=rows, validation=rows, test=rows))


def test_copy_with_other_labels_is_an_error(reader, hub):
    put(hub, rows_with(["O", "B-LOC", "I-LOC", "B-CORP", "I-CORP"]))
    message = reader.refused(CORPUS)
    assert FIRST in message
    assert "B-CORP I-CORP" in message


def test_copy_with_a_part_of_the_labels_is_an_error(reader, hub):
    put(hub, rows_with(["O", "B-LOC", "I-LOC"]))
    assert "B-PER I-PER B-ORG I-ORG B-MISC I-MISC are missing" in reader.refused(CORPUS)


def test_copy_in_another_order_is_renumbered_and_what_it_lacks_is_said(reader, hub):
    put(hub, rows_with(["O", "B-LOC", "I-LOC", *NER_NAMES[1:5], *NER_NAMES[7:]]))
    found = reader.run('answer = load_corpus("conll2003")["test"][0]["ner_tags"]')
    assert found["answer"] == [5, 0]
    said = " / ".join(found["warnings"])
    assert "label ids renumbered by name" in said
    assert f"{FIRST}: no column id, pos_tags, chunk_tags" in said


# ---------------------------------------------------------------------------------------------------------- the model


def test_tokenizer_is_loaded_without_the_weights_and_the_model_with_them(reader, hub):
    assert reader.run(TOKENIZER)["answer"] == ["Oslo", "said"]
    assert not hub.asked("safetensors")
    assert reader.run(MODEL)["answer"] == 9
    assert hub.asked("GET .*model.safetensors")


def test_weights_are_those_of_the_hub_and_one_format_is_fetched(reader, hub, bert):
    hub.add("model", "bert-base-cased", {"pytorch_model.bin": b"old", "tf_model.h5": b"older", "onnx/model.onnx": b"x"})
    found = reader.run(
        'model = load_model("bert-base-cased")\nanswer = model.get_input_embeddings().weight[5].double().tolist()'
    )
    from safetensors.torch import load_file

    weights = load_file(bert / "model.safetensors")["bert.embeddings.word_embeddings.weight"]
    assert found["answer"] == weights[5].double().tolist()
    assert not hub.asked(r"pytorch_model|tf_model|onnx")


@pytest.mark.parametrize(
    ("pattern", "fault", "status", "part"),
    [
        ("GET /api/models", "status", 429, "(429)"),
        ("GET /api/models", "status", 503, "(503)"),
        ("GET .*safetensors", "cut", 0, "model.safetensors"),
        ("safetensors", "corrupt", 0, "has not the hash"),
        ("safetensors", "size", 0, "should be of size"),
    ],
)
def test_faults_on_the_way_to_a_model_are_one_line(reader, hub, pattern, fault, status, part):
    hub.fail(pattern, fault, status)
    message = reader.refused(MODEL)
    assert message.startswith("cannot load checkpoint 'bert-base-cased': ")
    for wanted in (part, "NER_TUTORIAL_CHECKPOINT", "NER_TUTORIAL_PROFILE=quick"):
        assert wanted in message
    assert not reader.leftovers()
    hub.faults.clear()
    assert reader.run(MODEL)["answer"] == 9


@pytest.mark.parametrize(
    ("name", "part"),
    [("bert-base-caste", "not there"), ("nobody/nothing", "not there"), ("no such--name!", "HFValidationError")],
)
def test_model_that_is_not_there_is_one_line(reader, name, part):
    message = reader.refused(f"load_tokenizer({name!r})")
    assert part in message
    assert "NER_TUTORIAL_CHECKPOINT" in message


def test_repository_without_a_model_is_one_line(reader, hub):
    hub.add("model", "reader/notes", {"README.md": b"hello"})
    assert "holds no file of the kind that is needed, only README.md" in reader.refused('load_model("reader/notes")')


# --------------------------------------------------------------------------------------------------------- no network


def test_without_a_network_full_fails_soon_and_names_the_ways_out(tmp_path):
    """A whole program, timed from its start: the libraries alone would try again for more than a minute."""
    environment = client_environment(f"http://127.0.0.1:{closed_port()}", tmp_path, NER_TUTORIAL_PROFILE="full")
    reader = Reader(tmp_path, environment)
    try:
        reader.run("answer = 0")  # what is measured is not the import
        started = time.perf_counter()
        corpus = reader.refused("load_corpus(get_profile().corpus)")
        tokenizer = reader.refused("load_tokenizer(get_profile().checkpoint)")
        model = reader.refused("load_model(get_profile().checkpoint)")
        share = reader.refused(f'import os\nos.makedirs("m", exist_ok=True)\nfor n in ("config.json", "model.safetensors"):\n    open("m/" + n, "w").close()\npush_model("m", "x/y", token="{TOKEN}")')  # fmt: skip
        assert time.perf_counter() - started < 15
    finally:
        reader.close()
    for message in (corpus, tokenizer, model, share):
        assert "no connection to http://127.0.0.1" in message or "ConnectError" in message
    for message in (corpus, tokenizer, model):
        assert "NER_TUTORIAL_PROFILE=quick" in message
        assert "connect to the network" in message
    assert "NER_TUTORIAL_CORPUS" in corpus
    assert "NER_TUTORIAL_CHECKPOINT" in model
    assert not reader.leftovers()


def test_a_hub_that_never_answers_is_given_up():
    from ner_tutorial.hub.download import answer_within_limit

    started = time.perf_counter()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.2 seconds"):
        answer_within_limit(lambda: time.sleep(3), 0.2)
    assert time.perf_counter() - started < 2


# ------------------------------------------------------------------------------------------------------------ sharing


@pytest.fixture(scope="module")
def trained(server, program, corpus_files, bert, tmp_path_factory) -> Path:
    """A model that the reader's program has trained in the full profile, from the server's corpus and checkpoint."""
    server.faults.clear()
    server.repositories.clear()
    server.add("dataset", FIRST, corpus_files)
    server.add_folder("model", "bert-base-cased", bert)
    folder = tmp_path_factory.mktemp("trained") / "run"
    found = program.run(
        f"result = train_with_accelerate({str(folder)!r}, epochs=1, progress=False)\nanswer = result.best_epoch"
    )
    assert found.get("answer") == 1, found
    return folder


@pytest.fixture
def finished(trained, tmp_path) -> Path:
    import shutil

    return Path(shutil.copytree(trained, tmp_path / "finished"))


def push(folder: Path, more: str = "", name: str = "my-tagger") -> str:
    return f"future = push_model({str(folder)!r}, {name!r}, token={TOKEN!r}{more})\ninfo = future.result()\nanswer = info.oid"


def test_uploaded_folder_is_the_final_model_and_loads_in_pipeline_by_itself(reader, hub, finished):
    found = reader.run(push(finished))
    files = hub.files("model", f"{OWNER}/my-tagger")
    assert found["answer"] == hub.repositories["model", f"{OWNER}/my-tagger"].branches["main"]
    assert set(files) == {"README.md", "config.json", "metrics.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}  # fmt: skip
    for name, content in files.items():
        assert content == (finished / name).read_bytes(), name
    assert hub.repositories["model", f"{OWNER}/my-tagger"].private
    used = reader.run(
        "from transformers import pipeline\n"
        f'find = pipeline("token-classification", model="{OWNER}/my-tagger", token={TOKEN!r}, aggregation_strategy="first")\n'
        'answer = [sorted(find.model.config.id2label.values()), type(find("Nora Velt visited Oslo .")).__name__]'
    )
    assert used["answer"] == [sorted(NER_NAMES), "list"]


def test_uploaded_card_has_the_scores_and_no_place_on_this_machine(reader, hub, finished):
    reader.run(push(finished, name="someone/my-tagger"))
    card = hub.files("model", "someone/my-tagger")["README.md"].decode()
    metrics = json.loads((finished / "metrics.json").read_text(encoding="utf-8"))
    assert f"| test | {metrics['test']['precision']:.4f} |" in card
    assert 'model="someone/my-tagger"' in card
    assert "lhoestq/conll2003" in card
    assert str(finished.parent.parent) not in card
    assert TOKEN not in card


def test_card_that_was_written_before_the_name_was_known_gets_it(reader, hub, finished):
    (finished / "README.md").write_text('pipeline(model="your-name/your-model")', encoding="utf-8")
    reader.run(push(finished, name="someone/my-tagger"))
    assert hub.files("model", "someone/my-tagger")["README.md"] == b'pipeline(model="someone/my-tagger")'


def test_upload_again_changes_what_has_changed(reader, hub, finished):
    first = reader.run(push(finished))["answer"]
    (finished / "README.md").write_text("---\nlicense: other\n---\nMy own words.\n", encoding="utf-8")
    second = reader.run(push(finished))["answer"]
    assert first != second
    assert len(hub.asked("^PUT /lfs/")) == 1  # the weights are there already
    assert hub.files("model", f"{OWNER}/my-tagger")["README.md"].endswith(b"My own words.\n")


def test_public_and_in_the_foreground_when_asked(reader, hub, finished):
    found = reader.run(
        f"info = push_model({str(finished)!r}, 'open', token={TOKEN!r}, private=False, run_as_future=False)\nanswer = info.oid"
    )
    assert found["answer"]
    assert not hub.repositories["model", f"{OWNER}/open"].private


def test_without_a_token_nothing_is_asked_of_the_hub(reader, hub, finished):
    message = reader.refused(f"push_model({str(finished)!r}, 'my-tagger')")
    assert "there is no Hugging Face token" in message
    assert "hf auth login" in message
    assert hub.log == []


def test_token_of_the_environment_is_used(reader, hub, finished):
    code = f"import os\nos.environ['HF_TOKEN'] = {TOKEN!r}\ntry:\n    push_model({str(finished)!r}, 'my-tagger').result()\nfinally:\n    del os.environ['HF_TOKEN']"
    assert "error" not in reader.run(code)
    assert hub.files("model", f"{OWNER}/my-tagger")


def test_token_that_is_not_accepted_is_said_and_not_shown(reader, hub, finished):
    message = reader.refused(f"push_model({str(finished)!r}, 'my-tagger', token='hf_wrong_wrong_wrong')")
    assert "does not accept the token" in message
    assert "wrong_wrong" not in message
    assert not hub.asked("create|commit|lfs")
    assert not (finished / "README.md").exists()


@pytest.mark.parametrize(
    ("pattern", "fault", "status", "part"),
    [
        ("repos/create", "status", 401, "(401)"),
        ("repos/create", "status", 403, "(403)"),
        ("/preupload/", "status", 401, "(401)"),
        ("PUT /lfs/", "corrupt", 0, "announced hash"),
        ("PUT /lfs/", "status", 403, "(403)"),
        ("/commit/", "status", 429, "(429)"),
        ("/commit/", "status", 500, "(500)"),
    ],
)
def test_upload_that_fails_is_one_line_and_leaves_no_commit(reader, hub, finished, pattern, fault, status, part):
    hub.fail(pattern, fault, status)
    message = reader.refused(push(finished))
    assert message.startswith("the model was not uploaded to my-tagger: ")
    assert part in message
    if ("model", f"{OWNER}/my-tagger") in hub.repositories:
        assert hub.files("model", f"{OWNER}/my-tagger") == {}


def test_only_the_main_process_uploads(hub, finished, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert push_model(finished, "my-tagger", token=TOKEN) is None
    assert hub.log == []


def test_folder_without_a_finished_model_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no finished model"):
        push_model(tmp_path, "my-tagger", token=TOKEN)


def test_the_token_was_never_shown(program, trained):
    assert TOKEN not in program.said()


# ----------------------------------------------------------------------------------------------------------- the card


def scores(f1: float) -> Scores:
    return Scores(
        precision=f1, recall=f1, f1=f1, accuracy=0.98, number=11, per_type={"LOC": TypeScore(0.5, 0.25, 1 / 3, 4), "PER": TypeScore(1.0, 1.0, 1.0, 7)}
    )  # fmt: skip


def card_of(profile: Profile, folder: Path) -> tuple[dict, str]:
    result = TrainingResult(
        folder, [EpochMetrics(1, 0.5, 0.25, 0.9, 0.9, 0.9, 0.98)], 1, scores(0.75), scores(0.625), 1.0, 10.0
    )
    text = model_card(result, profile)
    _, front, body = text.split("---\n", 2)
    return yaml.safe_load(front), body


def test_card_of_the_original_experiment_names_data_licence_and_mode(tmp_path):
    front, body = card_of(get_profile("full"), tmp_path)
    assert front["base_model"] == "google-bert/bert-base-cased"
    assert front["datasets"] == [FIRST]
    assert front["license"] == "other"
    assert front["pipeline_tag"] == "token-classification"
    reported = front["model-index"][0]["results"][0]["metrics"]
    assert {"name": "f1 (words, lenient)", "type": "f1", "value": 0.625} in reported
    for part in ("Word level", "lenient mode", "research only", "## Limits", "| LOC | 0.5000 | 0.2500 | 0.3333 | 4 |"):
        assert part in body


def test_card_of_the_quick_profile_is_free(tmp_path):
    front, body = card_of(get_profile("quick"), tmp_path)
    assert front["license"] == "apache-2.0"
    assert front["base_model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert "CC-BY-4.0" in body
    assert "{" not in body.replace('{"', "")


def test_card_of_own_data_names_no_folder_and_no_licence(tmp_path):
    import dataclasses

    profile = dataclasses.replace(get_profile("full"), corpus=str(tmp_path / "secret"), checkpoint=str(tmp_path))
    front, body = card_of(profile, tmp_path)
    assert front["license"] == "other"
    assert "base_model" not in front
    assert "datasets" not in front
    assert "secret" not in body + json.dumps(front)
    assert str(tmp_path) not in body + json.dumps(front)
    assert "its owner must add it" in body


def table_rows(body: str, columns: int) -> list[list[str]]:
    """The cells of the body's table of so many columns, its head left out, as a Markdown reader splits them."""
    import re

    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in body.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows if len(row) == columns][2:]


HOSTILE_TYPES = [
    "A|B",
    "two\nlines",
    "<script>alert(1)</script>",
    "[link](javascript:alert(1))",
    "{braces}",
    "$title",
    "Ort*",
]


@pytest.mark.parametrize("kind", HOSTILE_TYPES)
def test_card_of_any_types_has_a_whole_table_and_no_markup_of_theirs(kind, tmp_path):
    found = Scores(0.5, 0.5, 0.5, 0.9, 4, {kind: TypeScore(0.5, 0.25, 1 / 3, 4), "ORT": TypeScore(1.0, 1.0, 1.0, 7)})
    result = TrainingResult(tmp_path, [EpochMetrics(1, 0.5, 0.25, 0.9, 0.9, 0.9, 0.98)], 1, found, found, 1.0, 10.0)
    text = model_card(result, get_profile("quick"))
    rows = table_rows(text, 5)
    assert len(rows) == 2
    assert [row[1:] for row in rows if row[0] == "ORT"] == [["1.0000", "1.0000", "1.0000", "7"]]
    assert "<script>" not in text
    assert "\n[link](" not in text.replace("| [", "\n[")
    yaml.safe_load(text.split("---\n", 2)[1])


def test_card_of_own_data_does_not_claim_a_language(tmp_path):
    import dataclasses

    front, body = card_of(dataclasses.replace(get_profile("quick"), corpus="my-german-folder"), tmp_path)
    assert "language" not in front
    assert "English" not in body
    assert "Finds LOC, PER in text." in body
