"""Share a finished model on the Hugging Face Hub: a card that says what it is, and an upload that is asked for.

Taught at the end of chapters 5 and 6. Nothing here runs by itself: an upload needs this call and a token.
"""

import html
import json
import os
import re
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

from ner_tutorial.files import write_text
from ner_tutorial.hub.download import ANSWER_WITHIN, HubUnreachable, answer_within_limit, explain, status_of
from ner_tutorial.model_folder import require_finished
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


@dataclass(frozen=True)
class _Corpus:
    """What a card says about the training data."""

    title: str
    content: str
    licence: str
    hub_name: str | None = None
    language: str | None = None
    text: str = "text"
    """What the model reads."""
    example: str = "A sentence of your own."


_CORPORA = {
    "newswire": _Corpus(
        title="the newswire corpus of the ner-tutorial book",
        content="invented English news of the 2030s, written and annotated for the book",
        licence="CC-BY-4.0: name the ner-tutorial authors where you use it",
        language="en",
        text="English text",
        example="Ilse Maro left Oslo for the Danish coast.",
    ),
    "conll2003": _Corpus(
        title="CoNLL-2003 (English)",
        content="English Reuters news of 1996 and 1997",
        licence="the texts are from the Reuters Corpus and free for research only; read its agreement before any other use",
        hub_name="lhoestq/conll2003",
        language="en",
        text="English text",
        example="Angela Merkel visited Toronto.",
    ),
}
_OWN_CORPUS = _Corpus(
    title="the owner's own data",
    content="texts that the owner of the model chose",
    licence="not known to the program that wrote this card; its owner must add it before the model is passed on",
)
# name of the checkpoint: (name on the Hub, licence)
CHECKPOINTS = {
    "minilm": ("sentence-transformers/all-MiniLM-L6-v2", "apache-2.0"),
    "bert-base-cased": ("google-bert/bert-base-cased", "apache-2.0"),
    "bert-base-uncased": ("google-bert/bert-base-uncased", "apache-2.0"),
}


def _cell(text: str) -> str:
    """A name as a cell of a Markdown table: nothing in it ends the cell or the row, and no HTML or link is made of it."""
    return re.sub(r"([\\`*\[\]|])", r"\\\1", html.escape(" ".join(text.split()), quote=False))


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
    settings = _settings(result, profile)
    corpus = _CORPORA.get(settings["corpus"], _OWN_CORPUS)
    base, base_licence = _base(str(settings["checkpoint"]))
    free = settings["corpus"] == "newswire" and base_licence is not None
    title = f"{base.rsplit('/', 1)[-1] if base else 'A model'} fine-tuned for named entity recognition"
    types = sorted(result.test.per_type.items())
    splits = (("validation", result.validation), ("test", result.test))
    template = Template(files("ner_tutorial.hub").joinpath("model_card.md").read_text(encoding="utf-8"))
    body = template.substitute(
        title=_cell(title),
        types=", ".join(_cell(kind) for kind, _ in types) or "named entities",
        text=corpus.text,
        example=corpus.example,
        repo_id=repo_id,
        checkpoint=f"`{base}`" if base else "a model of the owner's",
        corpus=corpus.title,
        content=corpus.content,
        recipe=_recipe(result, settings),
        splits="\n".join(_row(name, s.precision, s.recall, s.f1, s.accuracy, s.number) for name, s in splits),
        per_type="\n".join(_row(kind, s.precision, s.recall, s.f1, s.number) for kind, s in types),
        max_length=settings["max_length"],
        data_licence=corpus.licence,
        checkpoint_licence=base_licence.title() if base_licence else "see its own card",
        licence_text=(
            "Apache-2.0"
            if free
            else "no licence is granted here; the owner must settle what the two lines above allow, and say it"
        ),
    )
    return f"---\n{_front(result, settings, corpus, base, title, free)}\n---\n\n{body}"


def _base(checkpoint: str) -> tuple[str | None, str | None]:
    """The encoder's name on the Hub and its licence, as far as they are known. A local folder has neither."""
    if checkpoint in CHECKPOINTS:
        return CHECKPOINTS[checkpoint]
    is_path = Path(checkpoint).expanduser().is_dir() or checkpoint.startswith((".", "/", "~"))
    return (None, None) if is_path else (checkpoint, None)


def _row(name: str, *values: float) -> str:
    """A row of a table: scores with four decimals, counts as they are."""
    cells = (f"{value:.4f}" if isinstance(value, float) else str(value) for value in values)
    return f"| {' | '.join([_cell(name), *cells])} |"


def _recipe(result, settings: dict) -> str:
    """How the model was trained, in a sentence."""
    decay = settings["layer_decay"]
    by_layer = f" at the head, for each layer {decay:g} times that of the one above" if decay < 1 else ""
    return (
        f"Training took {len(result.epochs)} epochs, of which the weights of epoch {result.best_epoch} were kept; batches of "
        f"{settings['batch_size']} sentences on average, AdamW, peak learning rate {settings['learning_rate']:g}{by_layer}, "
        f"linear schedule, weight decay {settings['weight_decay']:g}, seed {settings['seed']}."
    )


def _front(result, settings: dict, corpus: _Corpus, base: str | None, title: str, free: bool) -> str:
    """The YAML at the head of a card, which the Hub reads."""
    from huggingface_hub import EvalResult, ModelCardData

    data = ModelCardData(
        language=corpus.language,
        license="apache-2.0" if free else "other",
        library_name="transformers",
        pipeline_tag="token-classification",
        tags=["named-entity-recognition", "ner-tutorial"],
        base_model=base,
        datasets=[corpus.hub_name] if corpus.hub_name else None,
        metrics=["precision", "recall", "f1", "accuracy"],
        model_name=title,
        eval_results=[
            EvalResult(
                task_type="token-classification",
                dataset_name=corpus.title,
                dataset_type=corpus.hub_name or (settings["corpus"] if settings["corpus"] in _CORPORA else "own-data"),
                dataset_split="test",
                metric_type=name,
                metric_name=f"{name} (words, lenient)",
                metric_value=round(float(value), 6),
            )
            for name, value in result.test.overall().items()
        ],
    )
    return data.to_yaml().rstrip()


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

    folder = Path(model_dir).expanduser()
    require_finished(folder)
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
