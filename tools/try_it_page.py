"""A Sphinx extension that puts the scripts of the page "Try it" into the website, and the model if one is there.

The model is the quick profile's, from the user's cache: `make test` and `make live` leave it there. Without it, without
ONNX Runtime for browsers, or without the packages that an export needs, the page says in one line what is missing.
"""

import os
from pathlib import Path

from sphinx.util import logging

logger = logging.getLogger(__name__)


def _pack(app, error) -> None:
    if error is not None or app.builder.format != "html":
        return
    # A build must not ask the network for what it does not need.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from ner_tutorial.demo.pack import find_runtime, pack
    from ner_tutorial.encoders import load_tokenizer
    from ner_tutorial.notebook import kept_model
    from ner_tutorial.profiles import get_profile

    profile = get_profile("quick")
    manifest = pack(
        Path(app.outdir) / "_static" / "try_it", load_tokenizer(profile.checkpoint), kept_model(profile), find_runtime()
    )
    if "missing" in manifest:
        logger.info(f"The page Try it: {manifest['missing']}.")


def setup(app):
    app.connect("build-finished", _pack, priority=400)  # before slim_site, which reads which classes are in use
    return {"parallel_read_safe": True, "parallel_write_safe": True}
