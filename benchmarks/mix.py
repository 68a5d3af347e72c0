"""Does another mix of genres help? Team sport is where the quick profile's model is weak (chapter 8).

Two training sets of one size, drawn story by story: the genres as the corpus has them, and twice the share of team sport.
Five paired seeds each; only the validation split is looked at, because the result decides something.
"""

import random
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path

from benchmarks.common import say
from ner_tutorial import evaluate_model, get_profile, load_corpus, load_tokenizer, score_labels, train_with_accelerate
from ner_tutorial.corpus import newswire_stories
from ner_tutorial.encoders import load_model
from ner_tutorial.labels import CONLL_SCHEME

TEAM_SPORT = ("football", "teams")
SENTENCES = 1200
SEEDS = (1, 2, 3, 4, 5)


def genre(story: str) -> str:
    return story.rpartition("-")[0]


def draw(stories: list[str], sentences: int, team_share: float | None, seed: int) -> list[int]:
    """Indices of about so many training sentences, in whole stories; ``None`` leaves the share of team sport as it is."""
    places: dict[str, list[int]] = defaultdict(list)
    for index, story in enumerate(stories):
        places[story].append(index)
    names = sorted(places)
    random.Random(seed).shuffle(names)
    if team_share is None:
        team_share = sum(genre(story) in TEAM_SPORT for story in stories) / len(stories)
    chosen: list[int] = []
    for wanted, pool in (
        (round(sentences * team_share), [name for name in names if genre(name) in TEAM_SPORT]),
        (sentences - round(sentences * team_share), [name for name in names if genre(name) not in TEAM_SPORT]),
    ):
        taken: list[int] = []
        for name in pool:
            if len(taken) < wanted:
                taken += places[name]
        chosen += taken[:wanted]
    return sorted(chosen)


def genre_mix(seeds=SEEDS, sentences: int = SENTENCES, encoder: str | Path = "minilm") -> dict:
    """Validation F1, on all of the split and on its team sport, of two mixes of one size."""
    corpus, profile = load_corpus("newswire"), get_profile("quick")
    train, validation = newswire_stories("train"), newswire_stories("validation")
    team = [i for i, story in enumerate(validation) if genre(story) in TEAM_SPORT]
    share = sum(genre(story) in TEAM_SPORT for story in train) / len(train)
    variants = {"genres as they are": None, "twice the team sport": 2 * share}
    rows: dict[str, dict[str, list]] = {name: {"f1": [], "team_f1": [], "team_share": []} for name in variants}
    for seed in seeds:
        for name, wanted in variants.items():
            chosen = draw(train, sentences, wanted, seed)
            part = type(corpus)({**corpus, "train": corpus["train"].select(chosen)})
            with tempfile.TemporaryDirectory() as folder:
                result = train_with_accelerate(
                    Path(folder) / "run", corpus=part, checkpoint=encoder, profile=profile, seed=seed, progress=False
                )
                model = load_model(result.model_dir, CONLL_SCHEME).eval()
                found = evaluate_model(model, corpus["validation"], load_tokenizer(result.model_dir))
            team_scores = score_labels([found.references[i] for i in team], [found.predictions[i] for i in team])
            rows[name]["f1"].append(round(found.scores.f1, 4))
            rows[name]["team_f1"].append(round(team_scores.f1, 4))
            rows[name]["team_share"].append(round(sum(genre(train[i]) in TEAM_SPORT for i in chosen) / len(chosen), 3))
            say(f"  seed {seed}, {name}: F1 {found.scores.f1:.4f}, team sport {team_scores.f1:.4f}")
    first, second = (row["f1"] for row in rows.values())
    gains = [b - a for a, b in zip(first, second, strict=True)]
    return {
        "sentences": sentences,
        "seeds": list(seeds),
        "mean_gain": round(statistics.mean(gains), 4),
        "variants": rows,
    }
