"""What `make refresh` writes into a notebook."""

import base64
import io
import sys
from pathlib import Path

import nbformat
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
pytest.importorskip("nbclient")

import refresh

pytestmark = pytest.mark.slow
DRAW = "import matplotlib.pyplot as plt\nfigure, axis = plt.subplots(figsize=(3, 2))\naxis.plot([1, 2])\nplt.show()"


def test_a_figure_has_twice_the_pixels_that_it_is_shown_with(tmp_path, monkeypatch):
    from PIL import Image

    monkeypatch.setattr(refresh, "RECORD", tmp_path / "record.json")
    path = tmp_path / "notebook.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(DRAW)]), path)
    assert refresh.refresh(path)
    (output,) = nbformat.read(path, as_version=4).cells[0].outputs
    shown = output.metadata["image/png"]
    with Image.open(io.BytesIO(base64.b64decode(output.data["image/png"]))) as drawn:
        assert drawn.width == pytest.approx(2 * shown["width"], abs=1)
        assert drawn.height == pytest.approx(2 * shown["height"], abs=1)
