"""Fixtures that several test files share: a vocabulary, a tokenizer, a tiny encoder and a small corpus, all made here."""

import string
from collections import Counter
from collections.abc import Callable, Mapping

import pytest
import torch
from datasets import DatasetDict
from hypothesis import settings
from miniature import tiny_bert_config
from transformers import BertModel, BertTokenizer, set_seed
from transformers.modeling_outputs import TokenClassifierOutput

from ner_tutorial import CONLL_SCHEME, LabelScheme, load_corpus, load_tokenizer

# Tokenising and seqeval are slow the first time they run, so a time limit on single examples only makes noise.
# Every run tries the same examples, so that it speaks of the change; --hypothesis-profile explore looks for new ones.
settings.register_profile("explore", deadline=None, print_blob=True)
settings.register_profile("tests", settings.get_profile("explore"), derandomize=True)
settings.load_profile("tests")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no long one is left to a single worker at the end (``make unit``)."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)  # Python's sort keeps the order of equals


SPECIAL_PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread():
    """Tiny models run many times slower when their threads wait for busy cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_vocabulary() -> dict[str, int]:
    """Some twenty pieces with the ids that they have in ``bert-base-cased``, so that parity.md's ids come out too."""
    return {
        "[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103, ".": 119, "to": 1106, "British": 1418,
        "German": 1528, "call": 1840, "la": 2495, "EU": 7270, "##mb": 12913, "boycott": 21423, "rejects": 22961,
        # A two-word name of our own, for the two-row batch: the ids are free ones.
        "Nora": 30001, "Velt": 30002,
    }  # fmt: skip


@pytest.fixture(scope="session")
def parity_tokenizer(tiny_vocabulary) -> BertTokenizer:
    """A cased BERT tokenizer over ``tiny_vocabulary``."""
    return BertTokenizer(vocab=dict(tiny_vocabulary), do_lower_case=False, model_max_length=512)


@pytest.fixture(scope="session")
def newswire() -> DatasetDict:
    """The book's own corpus, whole."""
    return load_corpus("newswire")


@pytest.fixture(scope="session")
def small_corpus(newswire) -> DatasetDict:
    """40, 15 and 15 sentences of the newswire corpus, spread over its splits so that all types and stories occur."""
    sizes = {"train": 40, "validation": 15, "test": 15}
    return DatasetDict(
        {
            split: newswire[split].select([i * (len(newswire[split]) // size) for i in range(size)])
            for split, size in sizes.items()
        }
    )


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory, newswire) -> str:
    """A folder with an untrained encoder (BERT, 2 layers, width 32, 128 positions) and its tokenizer.

    The vocabulary holds every ASCII character as a first and as a later piece, so that any ASCII word tokenises, and the
    300 most frequent words of the corpus, so that sentences stay short.
    """
    counts = Counter(word for words in newswire["train"]["tokens"] for word in words)
    letters = [c for c in string.printable if not c.isspace()]
    frequent = sorted((w for w in counts if w.isascii() and w.isalpha()), key=lambda w: (-counts[w], w))[:300]
    pieces = dict.fromkeys([*SPECIAL_PIECES, *letters, *("##" + c for c in letters), *frequent])
    tokenizer = BertTokenizer(
        vocab={piece: i for i, piece in enumerate(pieces)}, do_lower_case=False, model_max_length=128
    )
    set_seed(0)
    model = BertModel(tiny_bert_config(len(pieces), positions=128))
    folder = tmp_path_factory.mktemp("tiny-bert")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def tiny_tokenizer(tiny_checkpoint):
    """The tokenizer of ``tiny_checkpoint``, loaded as the package loads it."""
    return load_tokenizer(tiny_checkpoint)


class LookupTagger(torch.nn.Module):
    """A token classifier that knows one label for each piece and looks at nothing else.

    What it must answer for any sentence is known beforehand, whatever the windows and the batches.
    """

    def __init__(self, tokenizer, labels: Mapping[str, str], scheme: LabelScheme):
        super().__init__()
        scores = torch.zeros(len(tokenizer), scheme.num_labels)
        scores[:, scheme.outside_id] = 1.0
        for piece, label in labels.items():
            scores[tokenizer.convert_tokens_to_ids(piece), scheme.label2id[label]] = 9.0
        self.scores = torch.nn.Embedding.from_pretrained(scores)

    @property
    def device(self) -> torch.device:
        return self.scores.weight.device

    def forward(self, input_ids, attention_mask=None, token_type_ids=None):
        return TokenClassifierOutput(logits=self.scores(input_ids))


@pytest.fixture(scope="session")
def make_lookup_tagger(tiny_tokenizer) -> Callable[..., LookupTagger]:
    """``make_lookup_tagger({"piece": "label"})``; pieces that are not named get O."""

    def make(labels: Mapping[str, str], scheme: LabelScheme = CONLL_SCHEME) -> LookupTagger:
        return LookupTagger(tiny_tokenizer, labels, scheme)

    return make


@pytest.fixture(scope="session")
def chromium():
    """A headless Chromium (Playwright's ``Browser``); the test is skipped where there is none."""
    import browser

    if reason := browser.missing():
        pytest.skip(reason)
    with browser.chromium() as running:
        yield running


@pytest.fixture(scope="session")
def firefox():
    """A headless Firefox (``browser.Firefox``); the test is skipped where there is none."""
    import browser

    if reason := browser.missing_firefox():
        pytest.skip(reason)
    with browser.firefox() as running:
        yield running
