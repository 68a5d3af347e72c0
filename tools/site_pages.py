"""A Sphinx extension that gives every page of the website its description, and the site its first address a page of its own.

The description of each page is in `_config.yml`, under `page_descriptions`: a search engine and a shared link show it.
"""

from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.pycode import ModuleAnalyzer

import ner_tutorial

# No page of the book starts a kernel in the browser, so what does that is not loaded.
UNUSED = "thebe"
written: dict[str, list[str]] = {}
INDEX = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<meta name="description" content="{description}">
<meta property="og:title" content="{title}">
<meta property="og:description" content="{description}">
<meta property="og:type" content="website">
<meta property="og:url" content="{site}">
<meta property="og:image" content="{site}{image}">
<link rel="canonical" href="{site}{page}">
<link rel="icon" href="_static/favicon.svg" type="image/svg+xml">
<meta http-equiv="refresh" content="0; url={page}">
</head>
<body><p><a href="{page}">{title}</a>: {description}</p></body>
</html>
"""


def once(files: list) -> list:
    """Scripts or styles of a page, each once: Jupyter Book adds some of its own twice."""
    kept, seen = [], set()
    for file in files:
        what = str(getattr(file, "filename", None) or "") + str(getattr(file, "attributes", {}).get("body"))
        if what not in seen and UNUSED not in what.lower():
            seen.add(what)
            kept.append(file)
    return kept


def _remember(app, what: str, name: str, thing, options, lines: list[str]) -> None:
    if what == "attribute":
        written[name] = list(lines)


def _describe_constant(app, what: str, name: str, thing, options, lines: list[str]) -> None:
    """A constant of the package is described by the string below it in its module, not by the docstring of its class."""
    package, _, short = name.rpartition(".")
    if what != "data" or package != ner_tutorial.__name__:
        return
    for module in (f"{package}.{part}" for part, names in ner_tutorial._PUBLIC.items() if short in names):
        comments = ModuleAnalyzer.for_module(module).find_attr_docs()
        lines[:] = comments.get(("", short), lines)


def _restore(app, what: str, name: str, thing, options, lines: list[str]) -> None:
    """Napoleon takes what stands before a colon in the text below an attribute for its type; here it is a sentence."""
    lines[:] = written.pop(name, lines)


def _page_context(app, pagename: str, templatename: str, context: dict, doctree: nodes.document | None) -> None:
    for name in ("script_files", "css_files"):
        context[name][:] = once(context[name])
    # ARIA has taken back the role that docutils gives to the entries of its list of references.
    context["body"] = context.get("body", "").replace('role="doc-biblioentry"', 'role="listitem"')
    description = app.config.page_descriptions.get(pagename)
    if description:
        context["metatags"] = (
            context.get("metatags", "") + f'<meta name="description" content="{escape(description)}" />\n'
        )
        context["meta"] = {**(context.get("meta") or {}), "og:description": escape(description)}


def _write_index(app, error) -> None:
    if error is not None or app.builder.format != "html":
        return
    first = app.config.root_doc
    page = INDEX.format(
        language=app.config.language,
        title=escape(app.config.project),
        description=escape(app.config.page_descriptions.get(first, "")),
        site=app.config.ogp_site_url,
        image=app.config.ogp_image,
        page=app.builder.get_target_uri(first),
    )
    (Path(app.outdir) / "index.html").write_text(page, encoding="utf-8")


def setup(app):
    app.add_config_value("page_descriptions", {}, "html")
    # Before sphinxext.opengraph (500), which reads the description that this sets.
    app.connect("html-page-context", _page_context, priority=400)
    app.connect("build-finished", _write_index)
    app.connect("autodoc-process-docstring", _describe_constant, priority=300)
    app.connect("autodoc-process-docstring", _remember, priority=400)  # sphinx.ext.napoleon has 500
    app.connect("autodoc-process-docstring", _restore, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
