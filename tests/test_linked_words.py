"""Terms and functions are linked from their first use on a page: the extension on a small site, and the book's pages."""

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
sys.path.insert(0, str(ROOT / "tools"))

import linked_words  # noqa: E402

GLOSSARY = """\
# Glossary

```{glossary}
batch
  Sentences that go through the model together.

token
  What the tokenizer hands to the model.

token budget
  A limit on the tokens of a batch.

transformer
  A kind of neural network.

window
  What a model reads at once.

piece
  A token that comes from a word.
```
"""
FUNCTIONS = """\
# Functions

```{eval-rst}
.. py:function:: ner_tutorial.load_corpus(name)

.. py:class:: ner_tutorial.Tagger

   .. py:method:: predict(texts)
```
"""
PAGE = """\
# A token in a heading

`token` in code letters, and [a token](https://example.org) in a link.

The first token is a link, the second token is not. Two batches are the plural of one batch.

    a token in a block of code

- A token budget is longer than its first word.

The library Transformers is none of the transformers. A subtoken and a batch-wise step hold no term.

In an ordinary window one sees a piece of the sea. A *window* is introduced here, and then each window is as it is.

Call `load_corpus("newswire")`, then `load_corpus` and `load_corpus()`. `Tagger.predict` and
`ner_tutorial.Tagger` are two names, `other_function` is none.

## A heading with `Tagger.predict`

See [Ada, 1843](references.md#ada1843).
"""
SECOND_PAGE = """\
# Another page

A token is a link here too, and **window** is, in bold letters.
"""
BIBLIOGRAPHY = """\
@misc{ada1843, author = {Lovelace, Ada}, title = {Notes}, year = {1843}}
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The pages of a small site, as HTML, by name; and what the builder warned of, under ``warnings``."""
    from io import StringIO

    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace

    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("out")
    (source / "book").mkdir()
    for name, text in {
        "index.md": "# Site\n\nA token outside the lesson.\n\n```{toctree}\n:glob:\nbook/*\n```\n",
        "book/glossary.md": GLOSSARY,
        "book/api.md": FUNCTIONS,
        "book/references.md": "# References\n\n```{bibliography}\n:all:\n```\n",
        "book/references.bib": BIBLIOGRAPHY,
        "book/page.md": PAGE,
        "book/second.md": SECOND_PAGE,
    }.items():
        (source / name).write_text(text, encoding="utf-8")
    settings = {
        "extensions": ["myst_parser", "sphinxcontrib.bibtex", "linked_words"],
        "html_theme": "basic",
        "myst_heading_anchors": 3,
        "bibtex_bibfiles": ["book/references.bib"],
        "bibtex_cite_id": "{key}",
    }
    warnings = StringIO()
    with docutils_namespace():
        app = Sphinx(
            source, None, out, out / ".doctrees", "html", confoverrides=settings, status=None, warning=warnings
        )
        app.build()
    pages = {path.stem: path.read_text(encoding="utf-8") for path in out.glob("**/*.html")}
    return pages | {"warnings": warnings.getvalue()}


def links(html: str, kind: str) -> list[tuple[str, str]]:
    """Anchor and words of each link of a kind on a page, in order."""
    found = re.findall(rf'<a class="{kind} reference internal" href="([^"]*)">(.*?)</a>', html)
    return [(target, re.sub("<[^>]*>", "", words)) for target, words in found]


def test_the_first_use_of_a_term_is_linked_and_no_other(built):
    found = links(built["page"], "glossary-term")
    assert [words for _, words in found] == ["token", "batches", "token budget", "transformers", "window"]
    assert all(target.startswith("glossary.html#term-") for target, _ in found)
    assert "The first <a" in built["page"]
    assert "the second token is not" in built["page"]


def test_headings_code_and_other_links_stay_as_they_are(built):
    html = built["page"]
    assert "<h1>A token in a heading" in html
    assert re.search(r'<a class="reference external" href="https://example.org">a token</a>', html)
    assert "a token in a block of code" in html
    assert "A subtoken and a batch-wise step hold no term." in html


def test_an_everyday_word_is_linked_where_it_is_introduced(built):
    assert "In an ordinary window one sees a piece of the sea." in built["page"]
    assert re.search(
        r'A <em><a class="glossary-term reference internal" href="[^"]*#term-window">window', built["page"]
    )
    assert "window" in [words for _, words in links(built["second"], "glossary-term")]
    assert {"window", "piece"} <= linked_words.EVERYDAY


def test_the_library_s_name_is_not_the_term(built):
    assert "The library Transformers is none of the <a" in built["page"]


def test_the_first_mention_of_a_function_leads_to_its_documentation(built):
    found = links(built["page"], "function")
    assert [words for _, words in found] == ["load_corpus", "Tagger.predict", "ner_tutorial.Tagger"]
    assert found[0][0] == "api.html#ner_tutorial.load_corpus"


def test_each_page_is_linked_anew_and_pages_outside_the_lesson_are_not(built):
    assert [words for _, words in links(built["second"], "glossary-term")] == ["token", "window"]
    for page in ("index", "glossary", "api", "references"):
        assert links(built[page], "glossary-term") == links(built[page], "function") == []


def test_a_citation_leads_to_its_entry_and_nothing_is_warned_of(built):
    assert 'href="references.html#ada1843"' in built["page"]
    assert 'id="ada1843"' in built["references"]
    assert built["warnings"] == ""


# --------------------------------------------------------------------------------------------------- the book's pages


def text_of(path: Path) -> str:
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


APART = ("glossary", "api", "references")
TEXTS = {path.stem: text_of(path) for path in [*BOOK.glob("*.ipynb"), *BOOK.glob("*.md")] if path.stem not in APART}
ENTRIES = set(re.findall(r"^@\w+\{(\w+),", (BOOK / "references.bib").read_text(encoding="utf-8"), re.MULTILINE))
CITED = {name: set(re.findall(r"references\.md#(\w+)", text)) for name, text in TEXTS.items()}


def test_what_a_page_cites_is_in_the_bibliography():
    assert {name: keys - ENTRIES for name, keys in CITED.items() if keys - ENTRIES} == {}


def test_what_is_in_the_bibliography_is_cited():
    assert ENTRIES - set().union(*CITED.values()) == set()


def terms() -> list[str]:
    block = re.search(r"```\{glossary\}\n(.*?)```", (BOOK / "glossary.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    return re.findall(r"^(\S.*)$", block, re.MULTILINE)


def test_the_glossary_is_in_order_and_has_each_term_once():
    found = [term.lower() for term in terms()]
    assert found == sorted(set(found))


def test_every_term_is_linked_from_a_page_of_the_lesson():
    """Text in code letters and titles is left out, as the extension leaves it; everyday words count in italics."""
    pattern = linked_words._pattern([term.lower() for term in terms()])
    found = set()
    for text in TEXTS.values():
        text = re.sub(r"```.*?```", " ", text, flags=re.DOTALL)
        text = re.sub(r"``?[^`]*``?|^#+ .*$|\[[^]]*\]\([^)]*\)", " ", text, flags=re.MULTILINE)
        introduced = {
            words.lower() for pair in re.findall(r"\*\*([^*]+)\*\*|\*([^*]+)\*", text) for words in pair if words
        }
        for match in pattern.finditer(" ".join(text.split())):
            term = match[1].lower()
            if term not in linked_words.EVERYDAY or any(re.search(rf"\b{term}", words) for words in introduced):
                found.add(term)
    assert [term for term in terms() if term.lower() not in found] == []
