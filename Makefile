# make book · make test · make refresh · make bench — each makes .venv by itself; only Python 3.11+ and make are needed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := ner_tutorial/demo
LOWEST := .venv-lowest
# Two files of tests, or two notebooks, side by side; each computes on one thread, so that they do not wait for each other.
TOGETHER := -n 2 --dist loadfile
TOGETHER_ENV := OMP_NUM_THREADS=1
PORT ?= 8000
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= true

.PHONY: help book model live serve screenshots test test-lowest lint unit nbval refresh bench clean

help:
	@echo "make book     build the website and print the page to open"
	@echo "make live     the same with the model in its page Try it, served on this machine (SERVE=no only builds)"
	@echo "make serve    serve the website that was built on http://127.0.0.1:$(PORT)/"
	@echo "make test     ruff, the book, pytest, the notebooks"
	@echo "make test-lowest  pytest with the lowest versions that pyproject.toml allows, in .venv-lowest"
	@echo "make refresh  run all notebooks again and keep their outputs"
	@echo "make bench    measure every speed claim of the book"
	@echo "make clean    delete what the others made, .venv included"

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip -c constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[book,test,onnx]'
	@touch $@

# What npm brings for the page Try it and for the tests of pages. Without npm the book is built all the same.
$(DEMO)/node_modules/.ready: $(DEMO)/package-lock.json
	@if command -v npm >/dev/null; \
	then npm ci --prefix $(DEMO) --ignore-scripts --no-audit --no-fund --silent && touch $@ \
	  || echo "npm could not install: the page Try it will say so, and its tests are skipped"; \
	else echo "npm is missing: the page Try it will say so, and its tests are skipped"; fi

book: $(READY) $(DEMO)/node_modules/.ready
	$(BIN)/jupyter-book build . --all -W -n --keep-going --quiet
	@echo "Open $(CURDIR)/_build/html/index.html"

# The quick profile's model, in the user's cache: chapters 7 and 8 and the page Try it use it.
model: $(READY)
	TQDM_DISABLE=1 $(BIN)/python -c "from ner_tutorial.notebook import trained_model; trained_model()"

# The book with the model in its page Try it: trained now (some minutes) unless the cache has it, and served afterwards.
live: model
	$(MAKE) book
ifneq ($(SERVE),no)
	$(MAKE) serve
endif

serve: $(READY)
	$(BIN)/python -m ner_tutorial.demo _build/html $(PORT)

screenshots: book
	$(BIN)/python tools/screenshots.py

# The website is built before its tests, and with the model, so that the page Try it is looked at with one.
test: lint model book unit nbval

$(LOWEST)/.ready: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet -c constraints-lowest.txt -e '.[book,test,onnx]'
	@touch $@

test-lowest: $(LOWEST)/.ready
	$(LOWEST)/bin/python -m pytest -q tests

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

unit: $(READY)
	$(BIN)/python -m pytest -q $(TOGETHER) --no-loadscope-reorder tests  # slow files first: see tests/conftest.py

nbval: model
	$(TOGETHER_ENV) $(BIN)/python -m pytest -q $(TOGETHER) --nbval book

refresh: $(READY)
	$(BIN)/python tools/refresh.py

bench: $(READY)
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) $(LOWEST) $(DEMO)/node_modules _build build *.egg-info
