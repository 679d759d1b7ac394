"""Trainers with and without the faults that make a claim of accuracy hollow, and contracts that name them."""

from __future__ import annotations

MODEL = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(64, 2))
"""
TRAINERS = '''
import copy
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset

GENERATOR = torch.Generator().manual_seed(3)
IMAGES = torch.randint(0, 256, (60, 1, 8, 8), generator=GENERATOR, dtype=torch.uint8)
IMAGES[59] = 7  # constant
LABELS = torch.arange(60) % 2
TRAIN, VALIDATION, TEST = range(0, 30), range(30, 40), range(40, 60)

def scaled(image):
    return (image.float() / 255 - 0.5) / 0.25

def shifted(image):
    return scaled(image.roll(int(torch.randint(1, 8, ())), -1)) + torch.rand(()) / 100

def flipped(image):
    return scaled(image.flip(-1) if torch.rand(()) < 0.5 else image)

class Digits(Dataset):
    """As torchvision's datasets: one object, a transform that may be set, pairs of image and label."""
    def __init__(self, transform):
        self.transform = transform
    def __len__(self):
        return len(IMAGES)
    def __getitem__(self, index):
        return self.transform(IMAGES[index]), LABELS[index]

def steps(model, samples, optimiser=None):
    optimiser = optimiser or torch.optim.SGD(model.parameters(), lr=0.1)
    model.train()
    for images, labels in DataLoader(samples, batch_size=7, shuffle=True):
        optimiser.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimiser.step()

def score(model, samples):
    model.eval()
    with torch.no_grad():
        return sum(int((model(x).argmax(1) == y).sum()) for x, y in DataLoader(samples, batch_size=9)), len(samples)

def trainer(train, validation=None, cut=True):
    def run(model, *, seed, epochs=2, limit=None):
        for epoch in range(epochs):
            steps(model, Subset(train, range(len(train))[:limit]))
            yield {"right": score(model, validation)[0] if validation else 0}
    def uncut(model, *, seed, epochs=2):
        return run(model, seed=seed, epochs=epochs)
    return run if cut else uncut

def evaluate(model):
    return score(model, Subset(Digits(scaled), TEST))

VALID = Subset(Digits(scaled), VALIDATION)
clean = trainer(Subset(Digits(shifted), TRAIN), VALID)
flips = trainer(Subset(Digits(flipped), TRAIN), VALID)
plain = trainer(Subset(Digits(scaled), TRAIN), VALID, cut=False)

# Both subsets share one dataset object, and setting the transform of the test set overwrites that of the training set.
both = Digits(shifted)
shared, tested = Subset(both, TRAIN), Subset(both, TEST)
tested.dataset.transform = scaled
overwritten = trainer(shared, VALID)

kept = [Digits(shifted)[index] for index in TRAIN]
cached = trainer(kept, VALID)

leaky = trainer(Subset(Digits(scaled), [*TRAIN, 40, 43, 59]), VALID, cut=False)
chosen = trainer(Subset(Digits(scaled), TRAIN), Subset(Digits(scaled), TEST), cut=False)
hidden_leak = trainer(Subset(Digits(shifted), [*TRAIN, 40]), VALID)
plain_cut = trainer(Subset(Digits(scaled), TRAIN), VALID)
mirrored = Digits(lambda image: scaled(image.flip(-1)))
other_validation = trainer(Subset(Digits(shifted), TRAIN), Subset(mirrored, VALIDATION))

def fresh(model, *, seed, epochs=2):
    for epoch in range(epochs):
        steps(model, [(torch.rand(1, 8, 8), 0) for _ in range(20)])
        yield {}

def fresh_despite_limit(model, *, seed, epochs=2, limit=None):
    for epoch in range(epochs):
        steps(model, [(torch.rand(1, 8, 8), 0) for _ in range(600)])
        yield {}

def one_epoch(model, *, seed, epochs=2):
    steps(model, Subset(Digits(scaled), TRAIN))
    yield {}

def parts(model, *, seed, epochs=2):
    for epoch in range(epochs):
        model[1](model[0](torch.rand(3, 1, 8, 8))).sum().backward()
        yield {}

def never_trains(model, *, seed, epochs=2):
    for epoch in range(epochs):
        yield {"right": score(model, VALID)[0]}

def fails(model, *, seed, epochs=2):
    yield {}
    raise RuntimeError("out of luck")

def exits(model, *, seed, epochs=2):
    raise SystemExit(3)
    yield {}

def wrapped(model, *, seed, epochs=2):
    return trainer(Subset(Digits(scaled), TRAIN), VALID)(nn.DataParallel(model), seed=seed, epochs=epochs)

def compiled(model, *, seed, epochs=2):
    return trainer(Subset(Digits(scaled), TRAIN), VALID)(torch.compile(model), seed=seed, epochs=epochs)

def averaged(model, *, seed, epochs=2):
    """Evaluates a moving average, which is a copy, on the test set; and saves the model whole."""
    import io
    for epoch in range(epochs):
        steps(model, Subset(Digits(scaled), TRAIN))
        torch.save(model, io.BytesIO())
        yield {"right": score(copy.deepcopy(model), Subset(Digits(scaled), TEST))[0]}

def no_modes(model, *, seed, epochs=2):
    """Validates in training mode and with gradients, of which none comes back."""
    for epoch in range(epochs):
        steps(model, Subset(Digits(scaled), TRAIN))
        model(torch.stack([scaled(IMAGES[index]) for index in TEST]))
        yield {}

class Hooks:
    """A loop that calls hooks, as trainers of frameworks do, and knows nothing of archcheck."""
    def training_step(self, model, batch):
        return F.cross_entropy(model(batch[0]), batch[1])
    def on_epoch_end(self, model):
        return {"right": score(model, VALID)[0]}

def fit(hooks, model, loader, epochs):
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(epochs):
        model.train()
        for batch in loader:
            optimiser.zero_grad()
            hooks.training_step(model, batch).backward()
            optimiser.step()
        yield hooks.on_epoch_end(model)

def hooked(model, *, seed, epochs=2, limit=None):
    loader = DataLoader(Subset(Digits(shifted), TRAIN[:limit]), batch_size=8, shuffle=True)
    yield from fit(Hooks(), model, loader, epochs)

def sets():
    return {"train": IMAGES[:30], "validation": IMAGES[30:40], "test": IMAGES[40:]}

def pairs():
    return {"train": Subset(Digits(scaled), TRAIN), "validation": VALID, "test": Subset(Digits(scaled), TEST)}

def leaky_sets():
    return {"train": torch.cat([IMAGES[:30], IMAGES[45:46]]).float(), "validation": IMAGES[30:44], "test": IMAGES[40:]}

def mixed_sets():
    return {"train": IMAGES[:35], "validation": IMAGES[30:40], "test": IMAGES[40:]}

def other_sets():
    return {"train": IMAGES[:30], "validation": IMAGES[30:40], "test": IMAGES[50:]}

def short_sets():
    return {"train": IMAGES[:20], "test": IMAGES[40:]}

def no_sets():
    return [IMAGES]
'''
SUBJECT = """
[subjects.{name}]
model = "model.py:Net"
input = [1, 1, 8, 8]
[subjects.{name}.training]
train = "trainers.py:{train}"
evaluate = "trainers.py:evaluate"
{data}
[subjects.{name}.rules]
augmentation-reaches-the-batch = true
held-out-test-is-disjoint = {rule}
"""


def write_project(folder, *, train, data=None, rule="true", name="net"):
    """Write a project of one subject."""
    (folder / "model.py").write_text(MODEL)
    (folder / "trainers.py").write_text(TRAINERS)
    line = f'data = "trainers.py:{data}"' if data else ""
    (folder / "archcheck.toml").write_text(SUBJECT.format(name=name, train=train, data=line, rule=rule))
