"""Share a finished model on the Hugging Face Hub: a card that says what it is, and an upload that is asked for.

Taught at the end of chapters 5 and 6. Nothing here runs by itself: an upload needs this call and a token.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path

from ner_tutorial.files import write_text
from ner_tutorial.hub.download import ANSWER_WITHIN, HubUnreachable, answer_within_limit, explain, status_of
from ner_tutorial.profiles import Profile, get_profile
from ner_tutorial.training.run_folder import RUN_FILE

CARD = "README.md"
PLACEHOLDER = "your-name/your-model"  # in a card that was written before the model had a name on the Hub
# What a finished model consists of. run.json and the checkpoints stay at home: they name places on this machine.
SHARED_FILES = (
    CARD,
    "config.json",
    "model.safetensors",
    "model-*-of-*.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "metrics.json",
)
# name of the corpus: (title, name on the Hub, licence of the data, what it holds)
CORPORA = {
    "newswire": (
        "the newswire corpus of the ner-tutorial book",
        None,
        "CC-BY-4.0: name the ner-tutorial authors where you use it",
        "invented English news of the 2030s, written and annotated for the book",
    ),
    "conll2003": (
        "CoNLL-2003 (English)",
        "lhoestq/conll2003",
        "the texts are from the Reuters Corpus and free for research only; read its agreement before any other use",
        "English Reuters news of 1996 and 1997",
    ),
}
# name of the checkpoint: (name on the Hub, licence)
CHECKPOINTS = {
    "minilm": ("sentence-transformers/all-MiniLM-L6-v2", "apache-2.0"),
    "bert-base-cased": ("google-bert/bert-base-cased", "apache-2.0"),
    "bert-base-uncased": ("google-bert/bert-base-uncased", "apache-2.0"),
}
CARD_TEXT = """\
# {title}

Finds {types} in English text. Made with the book
[Fine-tuning a transformer for named entity recognition](https://github.com/ner-tutorial/ner-tutorial).

## Use

```python
from transformers import pipeline

find = pipeline("token-classification", model="{repo_id}", aggregation_strategy="first")
find("Angela Merkel visited Toronto.")
```

## Training

Starts from {checkpoint}. Trained on {corpus}: {content}. {recipe}

## Scores

Word level, **lenient mode** (seqeval's default): an entity counts if its type and both its ends are right. One label a
word, that of its first piece; every word counts once. The test split was scored once, with the weights that were best
on the validation split.

| split | precision | recall | F1 | accuracy | entities |
| --- | --- | --- | --- | --- | --- |
{splits}

Test split, type by type:

| type | precision | recall | F1 | entities |
| --- | --- | --- | --- | --- |
{per_type}

## Limits

- It has learned from {content}. On other kinds of text, other years and other languages it finds less, and it was not
  measured there.
- Names that training has not seen are found less often than familiar ones, and names of some origins less often than
  others. No decision about a person should rest on it.
- The score of an entity is no probability of being right: it is too high on average.
- A text longer than {max_length} tokens is cut off unless the pipeline is given a `stride`.

## Licence

- Training data: {data_licence}.
- Checkpoint: {checkpoint_licence}.
- These weights: {licence_text}.
"""


def _settings(result, profile: Profile | None) -> dict:
    """What the run was made with: its own record where there is one, else the profile."""
    settings = asdict(profile or get_profile())
    record = Path(result.model_dir) / RUN_FILE
    if profile is None and record.is_file():
        settings |= json.loads(record.read_text(encoding="utf-8"))
    return settings


def model_card(result, profile: Profile | None = None, *, repo_id: str = PLACEHOLDER) -> str:
    """The README.md of a model on the Hub: how to load it, its scores, its data, its limits, its licence.

    Args:
        result: a ``TrainingResult``.
        profile: what it was trained with; default, the record in its folder, else the active profile.
        repo_id: the name that the model will have on the Hub.

    Local folders are not named: a card tells nothing about the machine it was written on.
    """
    from huggingface_hub import EvalResult, ModelCardData

    settings = _settings(result, profile)
    own = (
        "own data",
        None,
        "not known to the program that wrote this card; its owner must add it before the model is passed on",
        "the owner's data",
    )
    corpus, hub_corpus, data_licence, content = CORPORA.get(settings["corpus"], own)
    source = str(settings["checkpoint"])
    is_name = source in CHECKPOINTS or not (Path(source).expanduser().is_dir() or source.startswith((".", "/", "~")))
    base, base_licence = CHECKPOINTS.get(source, (source if is_name else None, None))
    free = settings["corpus"] == "newswire" and base_licence is not None
    licence_text = (
        "Apache-2.0"
        if free
        else "no licence is granted here; the owner must settle what the two lines above allow, and say it"
    )
    title = f"{base.rsplit('/', 1)[-1] if base else 'A model'} fine-tuned for named entity recognition"
    mode = "words, lenient"
    data = ModelCardData(
        language="en",
        license="apache-2.0" if free else "other",
        library_name="transformers",
        pipeline_tag="token-classification",
        tags=["named-entity-recognition", "ner-tutorial"],
        base_model=base,
        datasets=[hub_corpus] if hub_corpus else None,
        metrics=["precision", "recall", "f1", "accuracy"],
        model_name=title,
        eval_results=[
            EvalResult(
                task_type="token-classification",
                dataset_name=corpus,
                dataset_type=hub_corpus or settings["corpus"] if settings["corpus"] in CORPORA else "own-data",
                dataset_split="test",
                metric_type=name,
                metric_name=f"{name} ({mode})",
                metric_value=round(float(value), 6),
            )
            for name, value in result.test.overall().items()
        ],
    )
    splits = [
        f"| {name} | {s.precision:.4f} | {s.recall:.4f} | {s.f1:.4f} | {s.accuracy:.4f} | {s.number} |"
        for name, s in (("validation", result.validation), ("test", result.test))
    ]
    per_type = [
        f"| {kind} | {s.precision:.4f} | {s.recall:.4f} | {s.f1:.4f} | {s.number} |"
        for kind, s in sorted(result.test.per_type.items())
    ]
    decay = settings["layer_decay"]
    by_layer = f" at the head, for each layer {decay:g} times that of the one above" if decay < 1 else ""
    recipe = (
        f"{len(result.epochs)} epochs, the weights of epoch {result.best_epoch} kept; batches of {settings['batch_size']} "
        f"sentences on average, AdamW, peak learning rate {settings['learning_rate']:g}{by_layer}, linear schedule, weight "
        f"decay {settings['weight_decay']:g}, seed {settings['seed']}."
    )
    return (
        "---\n"
        + data.to_yaml().rstrip()
        + "\n---\n\n"
        + CARD_TEXT.format(
            title=title,
            types=", ".join(sorted(result.test.per_type)) or "named entities",
            repo_id=repo_id,
            checkpoint=f"`{base}`" if base else "a checkpoint of the owner's",
            corpus=corpus,
            content=content,
            recipe=recipe,
            splits="\n".join(splits),
            per_type="\n".join(per_type),
            max_length=settings["max_length"],
            data_licence=data_licence,
            checkpoint_licence=base_licence.title() if base_licence else "see its own card",
            licence_text=licence_text,
        )
    )


def _is_main_process() -> bool:
    # Set by torchrun and accelerate launch for every process; a program that runs alone has no rank.
    return int(os.environ.get("RANK", "0")) == 0


def push_model(
    model_dir: str | Path,
    repo_id: str,
    *,
    token: str | None = None,
    private: bool = True,
    run_as_future: bool = True,
):
    """Upload a finished model to the Hugging Face Hub: weights, configuration, tokenizer, scores and card.

    The card is the folder's README.md; where there is none, ``model_card`` writes it there. All files arrive in one
    commit, or none does. Checkpoints and the run's record are not uploaded. On several processes only the main one
    uploads.

    Args:
        model_dir: a folder that training wrote.
        repo_id: ``name`` or ``owner/name``; it is made if it does not exist.
        token: a Hub token with the right to write; default, the one of ``hf auth login`` or ``HF_TOKEN``.
        private: for a new repository: only you can see it. Does not change one that exists.
        run_as_future: upload in the background and return at once. The program ends only when the upload has.

    Returns:
        A ``concurrent.futures.Future`` whose result is huggingface_hub's ``CommitInfo``, or that itself where
        ``run_as_future`` is false. ``None`` in a process that is not the main one.

    Raises:
        FileNotFoundError: the folder holds no finished model.
        PermissionError: there is no token, or the Hub does not accept it. Nothing was uploaded.
        OSError: the Hub cannot be reached, or refuses a part; also from the future's ``result()``.
    """
    from huggingface_hub import HfApi, get_token

    folder = Path(model_dir)
    if not (folder / "config.json").is_file() or not list(folder.glob("model*.safetensors")):
        raise FileNotFoundError(f"{model_dir} holds no finished model (config.json and model.safetensors)")
    if not _is_main_process():
        return None
    token = token or get_token()
    if not token:
        raise PermissionError(
            "nothing was uploaded: there is no Hugging Face token. Log in once with `hf auth login`, or set HF_TOKEN, with a "
            "token that may write (https://huggingface.co/settings/tokens)"
        )
    api = HfApi(token=token)
    try:
        answer_within_limit(api.whoami, 2 * ANSWER_WITHIN)
    except Exception as error:  # unrelated classes, some of the HTTP client's own
        if status_of(error) in (401, 403):
            raise PermissionError("nothing was uploaded: the Hub does not accept the token; make a new one") from None
        raise HubUnreachable(f"nothing was uploaded: {explain(error)}") from error
    _complete_card(folder, repo_id)

    def upload():
        try:
            address = api.create_repo(repo_id, private=private, exist_ok=True)
            return api.upload_folder(
                repo_id=address.repo_id,
                folder_path=folder,
                allow_patterns=list(SHARED_FILES),
                ignore_patterns=["checkpoints/*"],
                commit_message="Upload the fine-tuned model",
            )
        except Exception as error:  # unrelated classes, some of the HTTP client's own
            raise OSError(f"the model was not uploaded to {repo_id}: {explain(error)}") from error

    return api.run_as_future(upload) if run_as_future else upload()


def _complete_card(folder: Path, repo_id: str) -> None:
    """Write the card if there is none, and the model's name into one that was written before it had a name."""
    from ner_tutorial.training import load_result

    path = folder / CARD
    if path.is_file():
        text = path.read_text(encoding="utf-8").replace(PLACEHOLDER, repo_id)
    else:
        text = model_card(load_result(folder), repo_id=repo_id)
    write_text(path, text)
