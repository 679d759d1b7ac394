"""Fixes of rules about records, checkpoints and trainers: commands train for real, on twenty points."""

from __future__ import annotations

from tests.support.evidence_samples import MODEL, TRAINERS
from tests.support.fix_trials import Case, Remove

TRAINER = """
import torch
import torch.nn.functional as F

RATE, EPOCHS = 1.0, 2

def data(seed):
    x = torch.randn(200, 2, generator=torch.Generator().manual_seed(seed))
    return x, (x[:, 0] > x[:, 1]).long()

def run(model, *, seed, epochs=EPOCHS):
    x, y = data(1000 + seed)
    for _ in range(epochs):
        for _ in range(20):  # without an optimiser of torch, whose import takes longer than all of this
            model.zero_grad()
            F.cross_entropy(model(x), y).backward()
            for each in model.parameters():
                each.data -= RATE * each.grad
        yield {}

def evaluate(model):
    x, y = data(1)
    with torch.no_grad():
        return int((model(x).argmax(1) == y).sum()), len(y)
"""
TRAINING = """
[subjects.net.training]
train = "trainer.py:run"
evaluate = "trainer.py:evaluate"
checkpoint = "checkpoint.safetensors"
record = "record.json"
"""
AGAIN = "move the record and the checkpoint away and train again (`archcheck train net`)"
ANEW = f"{AGAIN}, or bring back what was trained"
TRAIN = "archcheck train net"
BETTER = f"improve the recipe: {AGAIN}, or lower what min-accuracy asks for"
SYNC = "archcheck sync README.md"
TASK = "pipeline_tag: tabular-classification"
DATA = "datasets: [points]"
SHORTER = f"let the trainer take fewer epochs: {AGAIN}, or raise `within-epochs`"


def _trained(rule: str, fix: str, edits: dict, **more) -> Case:
    """Return a case with a trainer."""
    return Case(
        rule=rule,
        model="class Net(nn.Linear):\n    def __init__(self):\n        super().__init__(2, 2)",
        input="[1, 2]",
        subject=more.pop("training", TRAINING),
        files={"trainer.py": more.pop("trainer", TRAINER), **more.pop("files", {})},
        fix=fix,
        edits=edits,
        process=True,
        **more,
    )


def _runs(*values: float) -> str:
    return f"{list(values)}"


OWN = 'beats = { record = "old.json", own = "new.json", runs = "", lower = true, by = 0.005 }'
TRIAL = """
[subjects.net.training]
train = "trainers.py:{train}"
evaluate = "trainers.py:evaluate"
"""
SPLIT = "train and choose on a part of the training data, and show the test set to `evaluate` alone"


def _watched(rule: str, train: str, fix: str, edits: dict) -> Case:
    return Case(
        rule=f"{rule} = true",
        model=MODEL.strip().removeprefix("from torch import nn").strip(),
        input="[1, 1, 8, 8]",
        subject=TRIAL.format(train=train),
        files={"trainers.py": TRAINERS},
        fix=fix,
        edits=edits,
        process=True,
    )


AWAY = (Remove("record.json"), Remove("checkpoint.safetensors"))


def _card(front: str, fix: str, edits: dict) -> Case:
    """Return a case of a model card whose results belong into its front matter."""
    return _trained('synced = "README.md"', fix, edits, files={"README.md": f"---\n{front}---\n"}, before=[TRAIN])


OPENING, CLOSING = "<!-- archcheck: net model-card -->", "<!-- /archcheck -->"
COMMENTS = f"# {OPENING}\n# {CLOSING}\n"
COMMENTED = f"write `# {OPENING}` and `# {CLOSING}`, and run `{SYNC}`"
WITHOUT = f"take it away, and run `{SYNC}`"
BELOW = f"keep one pair there, put the others below the front matter, where they hold tables, and run `{SYNC}`"
TASKED = f"write it there, for example `pipeline_tag: image-classification`, and run `{SYNC}`"
NAMED = f"write it there, for example `datasets: [mnist]`, and run `{SYNC}`"
CASES = [
    _card(
        f"{TASK}\n{DATA}\n{OPENING}\n{CLOSING}\n",
        COMMENTED,
        {COMMENTED: [(OPENING, f"# {OPENING}"), (CLOSING, f"# {CLOSING}"), SYNC]},
    ),
    _card(f"{TASK}\n{DATA}\nmodel-index: []\n{COMMENTS}", WITHOUT, {WITHOUT: [("model-index: []\n", ""), SYNC]}),
    _card(
        f"{TASK}\n{DATA}\n{COMMENTS}{COMMENTS}",
        BELOW,
        {BELOW: [(f"{COMMENTS}{COMMENTS}---\n", f"{COMMENTS}---\n{OPENING}\n{CLOSING}\n"), SYNC]},
    ),
    _card(f"{DATA}\n{COMMENTS}", TASKED, {TASKED: [(DATA, f"{DATA}\npipeline_tag: image-classification"), SYNC]}),
    _card(f"{TASK}\n{COMMENTS}", NAMED, {NAMED: [(TASK, f"{TASK}\ndatasets: [mnist]"), SYNC]}),
    _trained(
        'min-accuracy = { limit = 0.8, mode = "artifact" }',
        "train it: `archcheck train net`",
        {"train it: `archcheck train net`": TRAIN},
    ),
    _trained(
        "record-matches-model = true",
        "name a file as `record` under `training`, and train it: `archcheck train net`",
        {
            "name a file as `record` under `training`, and train it: `archcheck train net`": [
                ("evaluate =", 'record = "record.json"\nevaluate ='),
                TRAIN,
            ]
        },
        training=TRAINING.replace('record = "record.json"\n', ""),
    ),
    _trained(
        "record-matches-model = true",
        ANEW,
        {
            AGAIN: [*AWAY, TRAIN],
            "bring back what was trained": ("__init__(2, 2, bias=False)", "__init__(2, 2)"),
        },
        before=[TRAIN, ("__init__(2, 2)", "__init__(2, 2, bias=False)")],
    ),
    _trained(
        'min-accuracy = { limit = 0.8, mode = "artifact" }',
        ANEW,
        {AGAIN: [*AWAY, TRAIN]},
        before=[TRAIN, Remove("checkpoint.safetensors")],
    ),
    _trained(
        "min-accuracy = { limit = 0.8, seeds = 2 }",
        "train further seeds, each with `archcheck train net`, or lower `seeds`",
        {
            "train further seeds, each with `archcheck train net`": TRAIN,
            "lower `seeds`": [("seeds = 2", "seeds = 1"), ("limit", 'mode = "artifact", limit')],
        },
        before=[TRAIN],
    ),
    _trained(
        'min-accuracy = { limit = 0.8, mode = "artifact", within-epochs = 1 }',
        SHORTER,
        {
            f"let the trainer take fewer epochs: {AGAIN}": [
                *AWAY,
                ("EPOCHS = 1.0, 2", "EPOCHS = 1.0, 1"),
                TRAIN,
            ],
            "raise `within-epochs`": ("within-epochs = 1", "within-epochs = 2"),
        },
        before=[TRAIN],
    ),
    _trained(
        'min-accuracy = { limit = 0.8, mode = "artifact" }',
        BETTER,
        {
            f"improve the recipe: {AGAIN}": [*AWAY, ("= 0.0, 2", "= 1.0, 2"), TRAIN],
            "lower what min-accuracy asks for": ("limit = 0.8", "limit = 0.01"),
        },
        trainer=TRAINER.replace("= 1.0, 2", "= 0.0, 2"),
        before=[TRAIN],
    ),
    _trained(
        "min-accuracy = { limit = 0.5 }",
        "add seeds until it is decided (`archcheck train net --until-decided`)",
        {"add seeds until it is decided (`archcheck train net --until-decided`)": f"{TRAIN} --until-decided"},
        before=[TRAIN],
    ),
    Case(
        rule=OWN,
        files={"old.json": _runs(1.231, 1.229, 1.230), "new.json": _runs(1.223, 1.227, 1.215)},
        fix="add runs until the difference is certain, or train a better model",
        edits={
            "add runs until the difference is certain": (_runs(1.223, 1.227, 1.215), _runs(1.223, 1.227, *[1.215] * 9)),
            "train a better model": (_runs(1.223, 1.227, 1.215), _runs(1.211, 1.209, 1.210)),
        },
    ),
    Case(
        rule=OWN,
        files={"old.json": _runs(1.231, 1.229, 1.230), "new.json": '{"losses": [1.211, 1.209, 1.210]}'},
        fix="mend the record, or what `beats` says of it",
        edits={
            "mend the record": ('{"losses": [1.211, 1.209, 1.210]}', "[1.211, 1.209, 1.210]"),
            "what `beats` says of it": [
                ('runs = ""', 'runs = "/losses"'),
                (_runs(1.231, 1.229, 1.23), '{"losses": [1.231, 1.229, 1.23]}'),
            ],
        },
    ),
    _watched(
        "augmentation-reaches-the-batch",
        "overwritten",
        "draw the augmentation again for each batch, and give each subset a dataset object of its own",
        {
            "give each subset a dataset object of its own": (
                "shared, tested = Subset(both, TRAIN), Subset(both, TEST)",
                "shared, tested = Subset(both, TRAIN), Subset(Digits(shifted), TEST)",
            )
        },
    ),
    _watched(
        "augmentation-reaches-the-batch",
        "cached",
        "draw the augmentation again for each batch, and give each subset a dataset object of its own",
        {
            "draw the augmentation again for each batch": (
                "kept = [Digits(shifted)[index] for index in TRAIN]",
                "kept = Subset(Digits(shifted), TRAIN)",
            )
        },
    ),
    _watched(
        "augmentation-reaches-the-batch",
        "fresh",
        "let the trainer take `limit`, which cuts its sets to that many samples",
        {
            "let the trainer take `limit`, which cuts its sets to that many samples": [
                ("def fresh(model, *, seed, epochs=2):", "def fresh(model, *, seed, epochs=2, limit=None):"),
                ("for _ in range(20)]", "for _ in range(20)][:limit]"),
            ]
        },
    ),
    _watched(
        "augmentation-reaches-the-batch",
        "fails",
        "see that `archcheck train net` runs",
        {"see that `archcheck train net` runs": [('"trainers.py:fails"', '"trainers.py:clean"'), TRAIN]},
    ),
    _watched(
        "held-out-test-is-disjoint",
        "chosen",
        SPLIT,
        {
            SPLIT: (
                "chosen = trainer(Subset(Digits(scaled), TRAIN), Subset(Digits(scaled), TEST), cut=False)",
                "chosen = trainer(Subset(Digits(scaled), TRAIN), VALID, cut=False)",
            )
        },
    ),
    _watched(
        "held-out-test-is-disjoint",
        "clean",
        'name a function under `training` that returns the sets: `data = "pkg.mod:samples"`',
        {
            'name a function under `training` that returns the sets: `data = "pkg.mod:samples"`': (
                'evaluate = "trainers.py:evaluate"',
                'evaluate = "trainers.py:evaluate"\ndata = "trainers.py:sets"',
            )
        },
    ),
]
