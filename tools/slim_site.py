"""A Sphinx extension that cuts the theme's icons, styles and scripts down to what is in use, when the website is built.

The theme ships two whole icon sets, as a script and as fonts, and styles for every component: 2.5 MB that the first
page would load, of which the book uses a tenth. What is in use is read from the built pages and scripts: a class whose
name stands in none of them is on no page. Figures have twice the pixels that they are shown with, and few colours: a
palette stores them in about a third of the bytes.
"""

import itertools
import re
from collections.abc import Iterable
from pathlib import Path

import rjsmin
import tinycss2
from fontTools import subset
from PIL import Image

SOURCE_MAP = re.compile(r"/[*/]# sourceMappingURL=\S+?(\*/|$)", re.MULTILINE)
CLASS = re.compile(r"-?[A-Za-z_][\w-]*")
# The theme's selectors expect what the icon script draws; without it the icon is the element itself.
ICON = ":is(svg,.fa-solid,.fa-regular,.fa-brands)"
SVG = re.compile(r"\bsvg\b")
ICON_SCRIPT = Path("_static", "scripts", "fontawesome.js")
THEME_STYLES = Path("_static", "styles", "sphinx-book-theme.css")
# Two places where the theme lets the script's picture set the size or the position.
ICON_STYLES = ".bd-search .fa-solid.fa-magnifying-glass{position:static}.theme-switch .fa-lg{font-size:1em}"
ICON_FONTS = Path("_static", "vendor", "fontawesome", "webfonts")


def names_in(texts: Iterable[str]) -> set[str]:
    """Every word that can be a class: letters, digits, ``_`` and ``-``, not starting with a digit."""
    return {name for text in texts for name in CLASS.findall(text)}


def slim_styles(styles: str, used: set[str]) -> str:
    """A style sheet without the selectors that ask for a class that is not in ``used``, and without emptied rules."""
    return _rules(tinycss2.parse_stylesheet(styles, skip_comments=True, skip_whitespace=True), used)


def _rules(rules, used: set[str]) -> str:
    kept = []
    for rule in rules:
        if rule.type == "at-rule" and rule.content is not None and rule.lower_at_keyword in ("media", "supports"):
            inside = _rules(tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True), used)
            if inside:
                kept.append(f"@{rule.at_keyword}{tinycss2.serialize(rule.prelude)}{{{inside}}}")
        elif rule.type == "qualified-rule":
            selectors = [part for part in _selectors(rule.prelude) if _classes(part) <= used]
            if selectors:
                heads = ",".join(SVG.sub(ICON, tinycss2.serialize(part).strip()) for part in selectors)
                kept.append(f"{heads}{{{tinycss2.serialize(rule.content)}}}")
        else:
            kept.append(rule.serialize())
    return "".join(kept)


def _selectors(prelude) -> list[list]:
    """The prelude of a rule, cut at its top-level commas."""
    parts: list[list] = [[]]
    for token in prelude:
        if token.type == "literal" and token.value == ",":
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _classes(selector) -> set[str]:
    """The classes that an element must have to match. What stands in ``:not(...)`` or ``:is(...)`` is not asked for."""
    return {
        after.value
        for token, after in itertools.pairwise(selector)
        if token.type == "literal" and token.value == "." and after.type == "ident"
    }


def slim_font(path: Path, characters: set[int]) -> None:
    """Rewrite a TrueType font with only ``characters`` (code points)."""
    options = subset.Options(drop_tables=["FFTM"])
    font = subset.load_font(str(path), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=characters)
    subsetter.subset(font)
    subset.save_font(font, str(path), options)


def slim_figure(path: Path) -> None:
    """Rewrite a PNG without transparent parts with at most 256 colours, the most frequent of which stay exact."""
    with Image.open(path) as figure:
        if figure.mode not in ("RGB", "RGBA") or figure.convert("RGBA").getextrema()[3][0] < 255:
            return
        drawn = figure.convert("RGB")
    small = drawn.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


def slim(folder: Path) -> None:
    """Rewrite the scripts, the style sheets, the icon fonts and the figures of a built site."""
    # The fonts draw the same icons; the script would only draw them a second time.
    (folder / ICON_SCRIPT).write_text("", encoding="utf-8")
    for path in folder.rglob("*.map"):  # for someone who debugs the theme
        path.unlink()
    scripts = list(folder.rglob("*.js"))
    used = names_in(path.read_text(encoding="utf-8") for path in [*folder.rglob("*.html"), *scripts])
    for path in scripts:
        script = rjsmin.jsmin(path.read_text(encoding="utf-8"))
        path.write_text(SOURCE_MAP.sub("", script), encoding="utf-8")
    characters: set[int] = set()
    for path in folder.rglob("*.css"):
        styles = slim_styles(path.read_text(encoding="utf-8"), used)
        characters |= {ord(character) for character in styles}  # an icon is a character of its font
        styles = SOURCE_MAP.sub("", styles)
        # The fonts in WOFF2 are not cut, so their addresses go, and the browser takes the next in the list.
        styles = re.sub(r'url\([^)]*\.woff2\) ?format\("woff2"\),', "", styles)
        path.write_text(styles, encoding="utf-8")
    theme = folder / THEME_STYLES
    if ICON_STYLES not in theme.read_text(
        encoding="utf-8"
    ):  # a build that changes no page leaves the files as they are
        theme.write_text(theme.read_text(encoding="utf-8") + ICON_STYLES, encoding="utf-8")
    for path in (folder / ICON_FONTS).glob("*.ttf"):
        slim_font(path, characters)
        path.with_suffix(".woff2").unlink(missing_ok=True)
    for path in (folder / "_images").glob("*.png"):
        slim_figure(path)


def _finished(app, error) -> None:
    if error is None and app.builder.format == "html":
        slim(Path(app.outdir))


def setup(app):
    app.connect("build-finished", _finished)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
