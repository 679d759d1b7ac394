"""Read MNIST from its four IDX files, verified by digest, and split the training file.

The test file has its own function, so that a reader can see who opens it: `evaluate.py`, and `samples`, which holds the
sets side by side for whoever looks for an image in two of them.
"""

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from reference_models.mnist import digest
from reference_models.mnist.errors import DataError, UsageError

BUNDLED = Path(__file__).with_name("data")

# SHA-256 of the decompressed files, as they were first published.
FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

TRAIN_SIZE = 50_000
VALIDATION_SIZE = 10_000
TEST_SIZE = 10_000
SPLIT_SEED = 20_000  # independent of a run's seed: every run is measured on the same images

_ROWS = 1_024  # of a file that are read at a time

# Mean and standard deviation of the training file's pixels, in [0, 1].
MEAN = 0.1307
STD = 0.3081


@dataclass(frozen=True, slots=True, kw_only=True)
class Digits:
    """Images as `(N, 1, 28, 28)` uint8, 0 for the background, and labels as `(N,)` int64, 0 to 9."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Tensor) -> "Digits":
        """Return the digits at `indices`, `(M,)` int64, in that order."""
        return Digits(images=self.images[indices], labels=self.labels[indices])


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Positions in the training file, int64: `(50_000,)` for training, `(10_000,)` for validation."""

    train: Tensor
    validation: Tensor

    def first(self, limit: int | None) -> "Split":
        """Return the first `limit` positions of both parts; all of them for None."""
        check_limit(limit)
        return Split(train=self.train[:limit], validation=self.validation[:limit])


def check_limit(limit: int | None) -> None:
    """Raise `UsageError` unless `limit` is None or at least 1."""
    if limit is not None and limit < 1:
        raise UsageError(f"`--limit {limit}` leaves no images; pass 1 or more, or leave it out for all")


def split() -> Split:
    """Return the fixed split of the training file's 60,000 images."""
    generator = torch.Generator().manual_seed(SPLIT_SEED)
    order = torch.randperm(TRAIN_SIZE + VALIDATION_SIZE, generator=generator)
    return Split(train=order[:TRAIN_SIZE], validation=order[TRAIN_SIZE:])


def load_train(folder: Path | None = None, limit: int | None = None) -> tuple[Digits, Digits]:
    """Return the training and the validation part of the training file, each cut to `limit`.

    `folder` holds the four files or torchvision's `MNIST/raw`; None stands for the bundled ones.
    Raises `DataError` when a file is missing or damaged.
    """
    parts = split().first(limit)
    digits = _digits("train", folder or BUNDLED, torch.cat((parts.train, parts.validation)))
    border = len(parts.train)
    return (
        Digits(images=digits.images[:border], labels=digits.labels[:border]),
        Digits(images=digits.images[border:], labels=digits.labels[border:]),
    )


def load_test(folder: Path | None = None, limit: int | None = None) -> Digits:
    """Return the official test file, cut to the first `limit`; raises `DataError` like `load_train`."""
    check_limit(limit)
    return _digits("t10k", folder or BUNDLED, torch.arange(TEST_SIZE)[:limit])


def samples() -> dict[str, Tensor]:
    """Return the images of each set, `(N, 1, 28, 28)` uint8, to be compared: no one needs them to train or test."""
    train, validation = load_train()
    return {"train": train.images, "validation": validation.images, "test": load_test().images}


def scaled(images: Tensor) -> Tensor:
    """Return uint8 images as float32 in [0, 1], the background 0."""
    return images.float().div_(255)


def normalised(images: Tensor) -> Tensor:
    """Return images in [0, 1] with the training file's mean and standard deviation taken out."""
    return images.sub(MEAN).div_(STD)


def _digits(part: str, folder: Path, wanted: Tensor) -> Digits:
    """Return the digits at the positions `wanted` of a file, in that order."""
    images = _rows(f"{part}-images-idx3-ubyte", folder, header=16, width=28 * 28, wanted=wanted)
    labels = _rows(f"{part}-labels-idx1-ubyte", folder, header=8, width=1, wanted=wanted)
    return Digits(images=images.view(-1, 1, 28, 28), labels=labels.flatten().long())


def _rows(name: str, folder: Path, *, header: int, width: int, wanted: Tensor) -> Tensor:
    """Return the rows `wanted` of a file as `(N, width)` uint8; no more of it is held in memory at a time.

    Nothing of the header has to be read, because the digest is checked.
    """
    path = _find(name, folder)
    places = torch.full((TRAIN_SIZE + VALIDATION_SIZE,), -1)
    places[wanted] = torch.arange(len(wanted))
    rows = torch.empty(len(wanted), width, dtype=torch.uint8)
    content = hashlib.sha256()
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content.update(file.read(header))
            while block := file.read(width * _ROWS):
                content.update(block)
                count = len(block) // width
                here, places = places[:count], places[count:]
                found = torch.frombuffer(bytearray(block), dtype=torch.uint8)[: len(here) * width].view(-1, width)
                rows[here[here >= 0]] = found[here >= 0]
    except (EOFError, zlib.error, gzip.BadGzipFile):
        stored = digest.of_bytes(path.read_bytes())
        raise _damaged(path, f"no complete gzip stream (the compressed file's sha256 is `{stored}`)") from None
    except OSError as error:
        raise DataError(f"`{path}` cannot be read: {error.strerror}; mend it or pass `--data DIR`") from None
    if content.hexdigest() != FILES[name]:
        raise _damaged(path, f"`{content.hexdigest()}`")
    return rows


def _damaged(path: Path, found: str) -> DataError:
    expected = FILES[path.name.removesuffix(".gz")]
    return DataError(
        f"`{path}` is damaged: expected content with sha256 `{expected}`, found {found}; "
        "restore the file or pass `--data DIR` with the original ones"
    )


def _find(name: str, folder: Path) -> Path:
    for place in (folder, folder / "MNIST" / "raw"):
        for path in (place / name, place / f"{name}.gz"):
            if path.exists():
                return path
    raise DataError(
        f"`{name}` is missing: neither it nor `{name}.gz` is in `{folder}` or `{folder / 'MNIST' / 'raw'}`; "
        f"expected content with sha256 `{FILES[name]}`; pass `--data DIR` with the four files of MNIST"
    )
