"""The command line: ``python -m ner_tutorial`` or ``ner-tutorial``."""

import functools
import json
import logging
import sys

import click

from ner_tutorial.console import FolderPath, Program, json_line, line_blocks, printable


@click.group(cls=Program, context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100})
@click.version_option(package_name="ner-tutorial")
def main():
    """Fine-tune a transformer for named entity recognition, score it, and use it on text.

    What you do not give comes from the active profile: "quick" (the default: small, offline, minutes on a
    laptop), "full" (BERT on CoNLL-2003 exactly as in the original experiment, for a GPU) or "fast" (the same
    corpus and encoder, trained as one would today). Choose with the environment variable NER_TUTORIAL_PROFILE.
    """
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)


_corpus = click.option(
    "--corpus",
    metavar="PATH|NAME",
    help='"newswire" (the book\'s own), "conll2003" (from the Hub), or a folder with the files train, validation and test '
    "as CoNLL or parquet.  [default: the profile's]",
)


def _reading(command):
    """A command with the options that say how CoNLL files are read; it gets them as one dictionary, ``reading``."""

    @click.option("--convert-iob1", is_flag=True, help="Convert CoNLL files in IOB1 to IOB2 instead of refusing them.")
    @click.option(
        "--convert",
        is_flag=True,
        help="Convert CoNLL files in IOB1, BIOES, BILOU or IO to IOB2 instead of refusing them.",
    )
    @click.option(
        "--columns", metavar="word=N,label=M", help="Which columns of CoNLL files to read, counted from 1, where they are not "
        "recognised.",
    )  # fmt: skip
    @functools.wraps(command)
    def with_reading(*arguments, convert_iob1, convert, columns, **options):
        reading = {"convert_iob1": convert_iob1, "convert": convert, "columns": columns}
        return command(*arguments, reading=reading, **options)

    return with_reading


def _load(corpus: str | None, reading: dict, scheme=None):
    from ner_tutorial import get_profile, load_corpus

    return load_corpus(get_profile().corpus if corpus is None else corpus, scheme=scheme, **reading)


def _settings(command):
    """A command with an option for each setting of a run: name, type, limits and meaning come from their list."""
    from ner_tutorial.training.settings import EXPERIMENT, OPTIONS

    for name, (kind, rule) in reversed(OPTIONS.items()):
        if name == "corpus":
            continue  # every command has it
        flag = "--" + name.replace("_", "-")
        bounds = {"min": rule.least if rule.above is None else rule.above, "max": rule.most}
        if kind is bool:
            flag += "/--no-" + name.replace("_", "-")
            type_ = None
        elif rule.choices:
            type_ = click.Choice(rule.choices)
        elif kind is float:
            type_ = click.FloatRange(**bounds, min_open=rule.above is not None)
        else:
            type_ = click.IntRange(**bounds) if kind in (int, int | None) else str
        default = "  [default: the profile's]" if name in EXPERIMENT else ""
        command = click.option(
            flag, name, type=type_, default=None, metavar="PATH|NAME" if name == "checkpoint" else None,
            help=rule.meaning + default,
        )(command)  # fmt: skip
    return command


@main.command()
@_corpus
@click.option("--output", required=True, metavar="DIR", type=FolderPath(), help="A new folder for the run.")
@click.option("--loop", type=click.Choice(["trainer", "accelerate"]), default="accelerate", show_default=True,
              help="Which training loop: Transformers' Trainer (chapter 5) or the one by hand (chapter 6).")  # fmt: skip
@_settings
@click.option("--resume", is_flag=True, help="Continue the run in DIR after its last whole checkpoint.")
@_reading
def train(corpus, output, loop, resume, reading, **settings):
    """Fine-tune a model and keep the best epoch in DIR.

    DIR then holds the model, its tokenizer, metrics.json (a row per epoch, and the scores on validation and
    test) and the checkpoints.
    """
    from accelerate import PartialState

    from ner_tutorial import get_profile, train_with_accelerate, train_with_trainer

    # The name, not the loaded splits, goes into the run's record; only a special way of reading needs them loaded here.
    source = _load(corpus, reading) if any(reading.values()) else get_profile().corpus if corpus is None else corpus
    run = train_with_trainer if loop == "trainer" else train_with_accelerate
    result = run(output, corpus=source, resume=resume, **settings)
    if not PartialState().is_main_process:
        return  # of several processes one reports
    for row in result.epochs:
        click.echo(
            f"epoch {row.epoch}  train loss {row.train_loss:.4f}  validation loss {row.eval_loss:.4f}  precision {row.precision:.4f}  "
            f"recall {row.recall:.4f}  F1 {row.f1:.4f}"
        )
    equal = [row.epoch for row in result.epochs if row.f1 == result.epochs[result.best_epoch - 1].f1]
    if len(equal) > 1:
        click.echo(f"epochs {', '.join(map(str, equal))} have equal F1; the lowest validation loss decides")
    click.echo(f"best epoch {result.best_epoch}; test F1 {result.test.f1:.4f} (words, lenient); model in {output}")


_model = click.option("--model", required=True, metavar="DIR", type=FolderPath(), help="The folder of a trained model.")


def _precision(default: str | None, described: str):
    """The option ``--precision`` of the commands that use a model."""
    help_text = f"Number format of the weights; no is float32.  [default: {described}]"
    return click.option("--precision", type=click.Choice(["bf16", "fp16", "no"]), default=default, help=help_text)


_decoding = click.option(
    "--decoding",
    type=click.Choice(["viterbi", "greedy"]),
    default="viterbi",
    show_default=True,
    help="viterbi: the best sequence of labels that IOB2 allows. greedy: each word's best label.",
)


@main.command()
@_model
@_corpus
@click.option("--split", type=click.Choice(["train", "validation", "test"]), default="test", show_default=True,
              help="Which part of the corpus to score.")  # fmt: skip
@click.option("--strict", is_flag=True, help="Count only well-formed IOB2 entities.")
@_decoding
@_precision("no", "no, so that this prints what metrics.json says")
@_reading
def evaluate(model, corpus, split, strict, decoding, precision, reading):
    """Score a model on a split and print the scores as JSON.

    Scores are word level: precision, recall, f1, accuracy, number (of gold entities), and the same per type.
    """
    from ner_tutorial import get_profile, load_tagger, score_labels

    tagger = load_tagger(model, precision=precision, decoding=decoding)
    # Under the model's labels: a corpus may lack some of them, and number them otherwise.
    splits = _load(corpus, reading, tagger.scheme)
    result = tagger.evaluate(splits[split], batch_size=get_profile().eval_batch_size)
    scores = score_labels(result.references, result.predictions, strict=True) if strict else result.scores
    click.echo(json.dumps({**scores.to_dict(), "loss": result.loss}, indent=2))


@main.command()
@_model
@_corpus
@click.option("--split", type=click.Choice(["validation", "test"]), default="validation", show_default=True,
              help="Which part of the corpus to look at.")  # fmt: skip
@click.option(
    "--csv", "table_file", metavar="FILE", type=FolderPath(), help="Write the table, a row per entity, as CSV."
)
@_decoding
@_reading
def errors(model, corpus, split, table_file, decoding, reading):
    """Show what a model gets wrong: kinds of mistakes, types, names seen in training, length, casing, scores.

    Every entity, gold or predicted, is one row of a table (chapter 8). FILE gets the table, and is not overwritten.
    """
    from ner_tutorial import get_profile, load_tagger
    from ner_tutorial.corpus import newswire_stories, reference_labels
    from ner_tutorial.errors import Memory, error_table, report
    from ner_tutorial.files import write_text

    if table_file and table_file.exists():
        raise FileExistsError(f"{table_file} exists; name a new file for the table")
    tagger = load_tagger(model, precision="no", decoding=decoding)
    splits = _load(corpus, reading, tagger.scheme)
    found = tagger.evaluate(splits[split])
    table = error_table(
        splits[split]["tokens"][:],
        found.references,
        found.predictions,
        train=Memory(splits["train"]["tokens"], reference_labels(splits["train"])),
        stories=newswire_stories(split) if (corpus or get_profile().corpus) == "newswire" else None,
        probabilities=found.probabilities,
    )
    click.echo(printable(report(table, found.scores.f1)))
    if table_file:
        write_text(table_file, table.to_csv(index=False))


@main.command()
@_model
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--aggregation", type=click.Choice(["simple", "first", "average", "max"]), default="first", show_default=True,
              help="How the labels of a word's pieces become one (chapter 7).")  # fmt: skip
@_decoding
@_precision(None, "what the machine is fast in")
def predict(model, file, aggregation, decoding, precision):
    """Find the entities in text: one sentence a line in, one JSON object a line out.

    Reads FILE, or standard input, as UTF-8, and answers while it reads. Each object has "text" and "entities", and each
    entity type, text, start, end and score. An empty line gives an object without entities.
    """
    from ner_tutorial import load_tagger

    tagger = load_tagger(model, aggregation, precision=precision, decoding=decoding)
    name = getattr(file, "name", "<stdin>")
    for lines in line_blocks(file, "standard input" if name == "<stdin>" else name):
        for text, entities in zip(lines, tagger.predict(lines), strict=True):
            answer = {"text": text, "entities": [span.to_dict() for span in entities]}
            click.echo(json_line(answer))


@main.command()
@click.argument("folder", type=FolderPath())
@click.option("--long", "long_sentence", type=click.IntRange(min=1), default=100, show_default=True,
              help="Report sentences of more words than this.")  # fmt: skip
@click.option(
    "--at-most", type=click.IntRange(min=1), default=20, show_default=True, help="Findings to list of each kind."
)
@_reading
def lint(folder, long_sentence, at_most, reading):
    """Report on the annotated files in FOLDER, the same that training would read: counts, invalid sequences, sentences in two splits, inconsistent names.

    Ends with exit status 1 if there are errors. Warnings do not change it.
    """
    from ner_tutorial.lint import lint_folder

    report = lint_folder(folder, long_sentence=long_sentence, at_most=at_most, **reading)
    click.echo(printable(str(report)))
    if report.errors:
        raise SystemExit(1)


@main.command()
@_model
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
def demo(model, port):
    """Serve a page, on this machine only, on which a browser runs the model on what you type.

    For models with a tokenizer of BERT's kind. The first time, npm fetches what runs a model in a browser.
    """
    from ner_tutorial.demo import demo_server, serve

    with demo_server(model, port) as server:
        serve(server)


@main.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=FolderPath())
@click.option("--output", required=True, metavar="DIR", type=FolderPath(), help="A new folder for the corpus.")
@click.option(
    "--checkpoint", metavar="PATH|NAME", help="The encoder that will be trained: text is cut into words as it cuts text.  "
    "[default: the profile's]",
)  # fmt: skip
@click.option("--format", "format_", default="auto", show_default=True, metavar="NAME", help="The form of the files: doccano, "
              "label-studio, label-studio-min, prodigy, spacy, ubiai, lighttag, brat, columns or characters.")  # fmt: skip
@click.option(
    "--offsets", type=click.Choice(["auto", "characters", "utf-16", "bytes"]), default="auto", show_default=True,
    help="What the offsets of spans count.",
)  # fmt: skip
@click.option("--split-by", type=click.Choice(["document", "sentence"]), default="document", show_default=True,
              help="What stays together in one split.")  # fmt: skip
@click.option("--seed", type=int, default=13, show_default=True, help="Same seed: same splits.")
@click.option("--allow-dropped", is_flag=True, help="End with exit status 0 though spans were dropped.")
@_reading
def import_(files, output, checkpoint, format_, offsets, split_by, seed, allow_dropped, reading):
    """Make a corpus in DIR, split into train, validation and test, from what annotation tools export.

    Reads exports of doccano, Label Studio, Prodigy, spaCy, UBIAI and LightTag (JSON or JSON lines), folders of brat's, and
    files of words and labels in columns. Prints what was kept and dropped. Ends with exit status 1 if a span was dropped.
    """
    from ner_tutorial import get_profile, load_tokenizer
    from ner_tutorial.importing import import_files, write_corpus
    from ner_tutorial.words import WordRule

    tokenizer = load_tokenizer(get_profile().checkpoint if checkpoint is None else checkpoint)
    result = import_files(files, WordRule.of(tokenizer).cut, format=format_, offsets=offsets, reading=reading)
    sizes = write_corpus(output, result.documents, split_by=split_by, seed=seed)
    click.echo(printable(result.table()))
    click.echo(f"written to {output}: " + ", ".join(f"{split} {size} sentences" for split, size in sizes.items()))
    if result.dropped and not allow_dropped:
        raise click.ClickException(
            f"{result.dropped} spans were dropped (listed above); correct them in the tool, or say --allow-dropped"
        )


if __name__ == "__main__":
    main(prog_name="python -m ner_tutorial")
