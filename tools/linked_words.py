"""A Sphinx extension that links words of the text: a term to the glossary, a function to its documentation.

On every page of the lesson the first use of each term of the glossary becomes a link to its meaning, and the first
mention of each public function in code letters a link to the page of functions. The notebooks hold plain words, since
a notebook in Jupyter or on Colab knows no glossary. The keys of the bibliography become anchors, so that a page can
link to `references.md#key`.
"""

import re

from docutils import nodes
from sphinx.util.nodes import clean_astext

GLOSSARY, FUNCTIONS, REFERENCES = "book/glossary", "book/api", "book/references"
# These words also have an everyday meaning, so they are linked only where the text introduces them, in italics.
EVERYDAY = {"device", "process", "score", "split", "step", "window", "precision", "recall", "gather", "tag", "piece"}
NO_TEXT = (nodes.reference, nodes.literal, nodes.literal_block, nodes.title, nodes.raw, nodes.image, nodes.caption)
PUBLIC = re.compile(r"(?:ner_tutorial\.)?([A-Za-z_]+(?:\.[a-z_]+)?)(?:\(\))?")


def _terms(app) -> dict[str, tuple[str, str]]:
    """The glossary's terms in lower case, each with its anchor and with the term as the glossary has it."""
    found = {}
    for (kind, name), (page, anchor) in app.env.domaindata["std"]["objects"].items():
        if kind == "term" and page == GLOSSARY:
            found[name.lower()] = (anchor, name)
    return found


def _pattern(terms) -> re.Pattern:
    """Any of the terms as a whole word, in the singular or the plural; the longest that fits."""
    longest_first = sorted(terms, key=len, reverse=True)
    return re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, longest_first))})(?:s|es)?(?![\w-])", re.IGNORECASE)


def _link(app, page: str, target: str, anchor: str, css_class: str, content: list[nodes.Node]) -> nodes.reference:
    address = f"{app.builder.get_relative_uri(page, target)}#{anchor}"
    return nodes.reference("", "", *content, internal=True, refuri=address, classes=[css_class])


def _link_terms(app, doctree, page: str, terms: dict[str, tuple[str, str]]) -> None:
    pattern, left = _pattern(terms), dict(terms)
    for text in list(doctree.findall(nodes.Text)):
        parents = []
        node = text.parent
        while node is not None:
            parents.append(node)
            node = node.parent
        if any(isinstance(parent, NO_TEXT) for parent in parents):
            continue
        if not any(isinstance(parent, nodes.paragraph) for parent in parents):
            continue
        introduced = any(isinstance(parent, nodes.emphasis | nodes.strong) for parent in parents)
        pieces, end = [], 0
        for match in pattern.finditer(text):
            term = match[1].lower()
            library = match[0] == "Transformers"
            if term not in left or library or (term in EVERYDAY and not introduced):
                continue
            anchor, _ = left.pop(term)
            pieces += [nodes.Text(text[end : match.start()])] if match.start() > end else []
            pieces.append(_link(app, page, GLOSSARY, anchor, "glossary-term", [nodes.Text(match[0])]))
            end = match.end()
        if pieces:
            pieces += [nodes.Text(text[end:])] if end < len(text) else []
            text.parent.replace(text, pieces)


def _link_functions(app, doctree, page: str) -> None:
    documented = {
        name.removeprefix("ner_tutorial."): entry.node_id
        for name, entry in app.env.domaindata["py"]["objects"].items()
        if entry.docname == FUNCTIONS
    }
    linked = set()
    for literal in list(doctree.findall(nodes.literal)):
        match = PUBLIC.fullmatch(literal.astext())
        if match is None or match[1] not in documented or match[1] in linked:
            continue
        parent, inside = literal.parent, []
        while parent is not None:
            inside.append(parent)
            parent = parent.parent
        if any(isinstance(parent, nodes.reference | nodes.title) for parent in inside):
            continue
        linked.add(match[1])
        link = _link(app, page, FUNCTIONS, documented[match[1]], "function", [literal.deepcopy()])
        literal.replace_self(link)


def _link_words(app, doctree, page: str) -> None:
    if app.builder.format == "html" and page.startswith("book/") and page not in (GLOSSARY, FUNCTIONS, REFERENCES):
        _link_functions(app, doctree, page)
        _link_terms(app, doctree, page, _terms(app))


def _name_citations(app, env) -> None:
    """Tell MyST which anchors the bibliography will have; it looks for headings only."""
    if REFERENCES in env.found_docs:
        anchors = env.metadata[REFERENCES].setdefault("myst_slugs", {})
        for key in app.env.get_domain("cite").bibdata.data.entries:
            anchors[key] = (0, key, clean_astext(nodes.Text(key)))


def setup(app):
    app.connect("env-updated", _name_citations)
    app.connect("doctree-resolved", _link_words)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
