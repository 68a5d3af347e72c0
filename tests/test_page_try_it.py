"""The page that runs a model in a browser: the words, pieces and entities of the Python package, and how it loads."""

import json
import re
import shutil
import threading
import unicodedata

import pytest
import torch
from browser import served
from click.testing import CliRunner
from miniature import tiny_bert_config

from ner_tutorial import CONLL_SCHEME, load_tagger, load_tokenizer
from ner_tutorial.__main__ import main
from ner_tutorial.demo import demo_server
from ner_tutorial.demo.characters import CODES
from ner_tutorial.demo.pack import find_runtime, pack, tokenizer_settings
from ner_tutorial.words import WordRule

pytestmark = pytest.mark.slow

for package in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(package)

ODD = [
    "", " ", "\n\t", "Oslo", "oslo", "OSLO!", "...", "a", "\u00a0Oslo\u00a0", "Oslo\u200bLima", "Ren\u00e9 met Rene\u0301 in Orle\u0301ans",
    "\u0301 Oslo", "\u5317\u4eac\u662f\u4e2d\u56fd\u7684\u9996\u90fd", "\u6771\u4eac\u30bf\u30ef\u30fc\u3067\u4f1a\u3046", "\u0e01\u0e23\u0e38\u0e07\u0e40\u0e17\u0e1e", "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u093f\u0932\u094d\u0932\u0940",
    "\uc11c\uc6b8 \ud55c\uad6d", "\u05d9\u05e8\u05d5\u05e9\u05dc\u05d9\u05dd", "\u0627\u0644\u0642\u0627\u0647\u0631\u0629\u060c \u0645\u0635\u0631", "\u041c\u043e\u0441\u043a\u0432\u0430 \u0438 \u041a\u0438\u0435\u0432", "\U0001f600 Oslo \U0001f3f3\ufe0f\u200d\U0001f308 Lima",
    "\U0001f1f3\U0001f1f4\U0001f1f8\U0001f1ea", "\U0001f44d\U0001f3fd Maria", "\U0001d4de\U0001d4fc\U0001d4f5\U0001d4f8", "[SEP] Oslo [CLS] [MASK] [PAD] [UNK]", "<b>Oslo</b> & <script>alert(1)</script>",
    "O'Neill's \u2018Rovers\u2019 3-1", "\u201cOslo\u201d\u2014Lima", "$5.4bn from Acme Inc.", "x" * 100, "x" * 101, "\u00e9" * 101, "supercalifragilistic" * 5, "##burn #1",
    "a\u0000b\u0001c", "\ufffd Oslo \ufffd", "tab\tand\r\nlines\nOslo", "\u0130stanbul \u0131s", "\ufb01nance \ufb02ow", "\u037e \u1fef \u0340", "Oslo\u3000Lima", "\u1e9e Stra\u00dfe",
    "e-mail: x@y.org http://a.b/c?d=e#f", "1,234.56 12:30 1996-08-22", "\uff2f\uff33\uff2c\uff2f", "\u202eoslo\u202c", "Oslo" + "\u0301" * 30, "\u02bc\u02b9\u2019s",
]  # fmt: skip


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    """A small untrained model over MiniLM's vocabulary that finds names of all types everywhere."""
    from transformers import BertForTokenClassification, set_seed

    folder = tmp_path_factory.mktemp("model")
    tokenizer = load_tokenizer("minilm")
    names = dict(enumerate(CONLL_SCHEME.names))
    config = tiny_bert_config(len(tokenizer), positions=512, id2label=names, label2id=CONLL_SCHEME.label2id)
    set_seed(0)
    model = BertForTokenClassification(config)
    with torch.no_grad():
        model.bert.embeddings.word_embeddings.weight.normal_(0, 1)
        model.classifier.weight.normal_(0, 2)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("NER_TUTORIAL_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def exported(model_dir, address, cache, tmp_path_factory):
    """The model that the page runs, in a folder for Python."""
    folder = tmp_path_factory.mktemp("export")
    for path in model_dir.glob("*.json"):
        shutil.copy(path, folder)
    (made,) = (cache / "web").glob("*-model.onnx")
    shutil.copy(made, folder / "model.onnx")
    return folder


@pytest.fixture(scope="module")
def address(model_dir, cache):
    if find_runtime() is None:
        pytest.skip("onnxruntime-web is missing: npm ci --prefix ner_tutorial/demo")
    with demo_server(model_dir) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def page(chromium, address):
    """The demo's page, open. ``page.requested`` lists the paths of what it has asked for, ``page.complaints`` errors."""
    context = chromium.new_context()
    page = context.new_page()
    page.requested, page.complaints = [], []
    context.on("request", lambda request: page.requested.append(request.url.removeprefix(address).split("?")[0]))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("console", lambda said: said.type == "error" and page.complaints.append(said.text))
    page.goto(address, wait_until="networkidle")
    yield page
    context.close()


def answer(page, text: str, box: int = 0) -> dict:
    """What the page says to a text: the answer, and the words of its status line and its result."""
    place = page.locator(".try-it").nth(box)
    place.locator("textarea").fill(text)
    place.evaluate("(e) => { delete e.answer; }")
    place.locator("button").click()  # it is disabled until the answer is there
    place.locator("button:enabled").wait_for(timeout=120_000)
    return {
        **(place.evaluate("(e) => e.answer") or {}),
        "status": place.locator(".status").inner_text(),
        "result": place.locator(".result").inner_text(),
    }


def units(text: str, at: int) -> int:
    """A place in a text as JavaScript counts: in units of UTF-16."""
    return len(text[:at].encode("utf-16-le")) // 2


ENTITIES = """
async (texts) => {
  const worker = new Worker('./worker.js', { type: 'module' }), answers = [];
  for (const input of texts) answers.push(await new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => data.id && (data.error ? reject(new Error(data.error)) : resolve(data.entities));
    worker.postMessage({ id: 1, kind: 'entities', input });
  }));
  return answers;
}
"""


@pytest.fixture(scope="module")
def expected(exported, newswire) -> dict[str, list]:
    """Text to the spans that Python finds in it with the model of the page."""
    test = newswire["test"]
    sentences = [" ".join(test[i * (len(test) // 60)]["tokens"]) for i in range(60)]
    long = [" ".join(" ".join(words) for words in test["tokens"][:count]) for count in (30, 60, 120)]
    texts = [
        text
        for text in [*sentences, *ODD, *long, "Mu\u00f1oz" * 300, "a " * 509 + "unbelievable Mu\u00f1oz"]
        if text.strip()
    ]
    assert len(texts) >= 100
    spans = load_tagger(exported).predict(texts)
    assert sum(map(len, spans)) > 300
    return dict(zip(texts, spans, strict=True))


def compare(answers: list, expected: dict[str, list]) -> None:
    for found, (text, spans) in zip(answers, expected.items(), strict=True):
        assert [(e["type"], e["start"], e["end"]) for e in found] == [
            (span.type, units(text, span.start), units(text, span.end)) for span in spans
        ], text[:200]
        assert [e["score"] for e in found] == pytest.approx([span.score for span in spans], abs=1e-3)


def test_the_browser_finds_the_entities_of_python(page, expected):
    compare(page.evaluate(ENTITIES, list(expected)), expected)


def test_firefox_finds_the_entities_of_python(firefox, address, expected):
    firefox.goto(address)
    compare(firefox.evaluate(ENTITIES, list(expected)), expected)
    shown = firefox.evaluate(
        """async (text) => {
          const box = document.querySelector('.try-it');
          box.querySelector('textarea').value = text;
          box.querySelector('button').click();
          while (!box.answer) await new Promise((resolve) => setTimeout(resolve, 100));
          return [box.querySelectorAll('mark').length, box.querySelector('.status').textContent];
        }""",
        next(text for text, spans in expected.items() if spans),
    )
    assert shown[0] > 0, shown


CUT_AND_TOKENIZE = """
async () => {
  const { WordRule } = await import('./words.js'), { Tokenizer } = await import('./tokenizer.js');
  const json = async (path) => (await fetch(path)).json();
  const manifest = await json('manifest.json'), table = await json(manifest.files.characters.path);
  const rule = new WordRule(table.kinds, manifest.charactersAlone);
  const tokenizer = new Tokenizer(await json(manifest.files.vocabulary.path), table, manifest);
  window.tried = (codes) => {
    const characters = codes.map((code) => String.fromCodePoint(code));
    const cut = (text) => rule.cut(text).map(([start, end]) => `${start}-${end}`).join();
    return [characters.map((c) => tokenizer.pieces(`a${c}b`).join()), characters.map((c) => cut(`a${c}b ${c}`))];
  };
}
"""


def test_words_and_pieces_are_python_s_for_every_character_of_unicode(page, model_dir):
    """Of the code points that no character has, and of those for private use, every hundredth."""
    tokenizer = load_tokenizer(model_dir)
    rule = WordRule.of(tokenizer)
    page.evaluate(CUT_AND_TOKENIZE)
    free = ("Cn", "Co")
    codes = [code for code in CODES if unicodedata.category(chr(code)) not in free or code % 100 == 0]
    assert len(codes) > 140_000
    for start in range(0, len(codes), 20_000):
        some = codes[start : start + 20_000]
        ids, cuts = page.evaluate("tried", some)
        encoded = tokenizer([f"a{chr(code)}b" for code in some], add_special_tokens=False)["input_ids"]
        assert [row for row in zip(some, ids, encoded, strict=True) if row[1] != ",".join(map(str, row[2]))] == []
        for code, cut in zip(some, cuts, strict=True):
            text = f"a{chr(code)}b {chr(code)}"
            places = [f"{units(text, start)}-{units(text, end)}" for start, end in rule.cut(text)]
            assert cut == ",".join(places), hex(code)


def test_nothing_is_requested_before_the_button_and_nothing_after_an_empty_text(page):
    scripts = {"", "page.js", "try_it.css"}
    assert set(page.requested) == scripts
    assert "Type something first" in answer(page, "  \n")["status"]
    assert set(page.requested) == scripts
    assert answer(page, "Oslo")["status"]
    assert {"model/model.onnx", "model/vocabulary.json", "vendor/ort-wasm-simd-threaded.wasm"} <= set(page.requested)
    assert page.complaints == []  # its policy allows no eval


def test_pieces_need_no_model(page):
    shown = answer(page, "Wolfsburg", box=1)
    assert shown["words"] == [{"word": "Wolfsburg", "pieces": ["wolf", "##sburg"]}]
    assert shown["status"] == "1 word, 2 pieces."
    assert not [path for path in page.requested if path.endswith((".onnx", ".wasm"))]


def test_after_the_first_time_it_works_offline(page):
    assert "error" not in answer(page, "Oslo")
    large = re.compile(r"\.onnx|threaded\.wasm|vocabulary|characters")
    page.context.route(large, lambda route: route.abort())
    page.reload()
    assert "error" not in answer(page, "Nora met Ines in Lima")  # from what the browser has kept
    page.context.set_offline(True)
    assert "error" not in answer(page, "Lima")


def test_files_of_an_earlier_version_are_deleted(page):
    page.evaluate("caches.open('ner-tutorial-try-it').then((c) => c.put('/model/model.onnx?old', new Response('x')))")
    assert "error" not in answer(page, "Oslo")
    kept = page.evaluate("caches.open('ner-tutorial-try-it').then((c) => c.keys()).then((k) => k.map((r) => r.url))")
    assert kept
    assert not [url for url in kept if url.endswith("?old")]


def test_a_damaged_file_is_refused_and_asked_for_again(page, address):
    def damage(route):
        body = bytearray(route.fetch().body())
        body[len(body) // 2] ^= 1
        route.fulfill(body=bytes(body))

    page.context.route("**/model.onnx*", damage)
    assert "arrived damaged" in answer(page, "Oslo")["status"]
    page.context.unroute("**/model.onnx*")
    assert "error" not in answer(page, "Oslo")


def test_typed_html_stays_text(page):
    text = "<img src=x onerror=\"document.title='gone'\"> <b>Oslo</b> [SEP]"
    shown = answer(page, text)
    read = page.locator(".result").first.evaluate(
        "(e) => { const c = e.cloneNode(true); c.querySelectorAll('mark b').forEach((b) => b.remove()); return c.textContent; }"
    )
    assert read.replace(" ", "") == text.replace(" ", "")
    assert page.locator(".result b").count() == len(shown["entities"])  # only the types
    assert page.locator(".result img").count() == 0
    assert page.title() != "gone"


def test_a_name_shows_its_type_and_its_score(page):
    found = answer(page, "Maria Ravel flew from Oslo to Rome.")["entities"]
    assert found
    shown = page.locator(".result").first.locator("mark b").all_inner_texts()
    assert shown == [f"{entity['type']} {int(100 * entity['score'])}%" for entity in found]


def test_a_text_that_is_too_long_is_read_up_to_a_limit_and_this_is_said(page):
    shown = answer(page, "Oslo beat Lima . " * 3000)
    assert "too long for this page" in shown["status"]
    assert 20_000 < shown["cut"] < 40_000
    assert all(entity["end"] <= shown["cut"] for entity in shown["entities"])


def test_without_a_model_the_page_says_how_to_get_one(chromium, cache, tmp_path):
    manifest = pack(tmp_path, load_tokenizer("minilm"), None, None)
    assert "make live" in manifest["missing"]
    (tmp_path / "index.html").write_text(
        '<div class="try-it"></div><div class="try-it" data-kind="pieces"></div><script type="module" src="page.js"></script>'
    )
    page = chromium.new_page()
    with served(tmp_path) as address:
        page.goto(address, wait_until="networkidle")
        assert "make live" in answer(page, "Oslo")["status"]
        assert answer(page, "Oslo", box=1)["status"] == "1 word, 1 piece."
    page.close()


def test_the_manifest_names_every_file_with_its_size_and_hash(address, model_dir, tmp_path):
    import hashlib

    manifest = pack(tmp_path, load_tokenizer(model_dir), model_dir, find_runtime())
    assert json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8")) == manifest
    assert set(manifest["files"]) == {"vocabulary", "characters", "model", "wasm"}
    for entry in manifest["files"].values():
        content = (tmp_path / entry["path"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (entry["bytes"], entry["sha256"])


def test_a_tokenizer_of_another_kind_is_refused_in_one_line(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE(vocab={"a": 0, "b": 1, "[UNK]": 2}, merges=[], unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]", model_max_length=64)
    with pytest.raises(ValueError, match="WordPiece of BERT's kind, and this one is BPE"):
        tokenizer_settings(tokenizer)


def test_the_command_names_what_is_wrong_in_one_line(tmp_path):
    run = CliRunner().invoke(main, ["demo", "--model", str(tmp_path / "nowhere")])
    assert run.exit_code == 1
    assert "Traceback" not in run.output
    assert len(run.output.strip().splitlines()) == 1
