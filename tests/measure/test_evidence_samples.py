"""When two samples are equal: bit for bit, or the same picture in any dtype and normalisation."""

from __future__ import annotations

import pytest
import torch

from archcheck.foundation.errors import SubjectError
from archcheck.measure.evidence.samples import declared_keys, exact, keys_of

IMAGES = torch.randint(0, 256, (300, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


def normalised(images):
    return (images.float() / 255 - MEAN) / STD


@pytest.mark.parametrize(
    "view",
    [
        lambda images: images.float() / 255,
        normalised,
        lambda images: images.double() * 0.1 - 7,
        lambda images: normalised(images).to(memory_format=torch.channels_last),
        lambda images: images.unsqueeze(1),
    ],
)
def test_images_are_the_same_whatever_their_dtype_and_normalisation(view):
    assert keys_of(view(IMAGES)) == keys_of(IMAGES)
    assert len(set(keys_of(IMAGES))) == len(IMAGES)


def test_every_range_of_8_bits_survives_rounding():
    """Of each range 1 to 255, at both ends of the scale, the image that holds all of its values."""
    for low_end in (True, False):
        rows = [
            (torch.arange(256) % (span + 1) + (0 if low_end else 255 - span)).reshape(16, 16) for span in range(1, 256)
        ]
        images = torch.stack(rows).to(torch.uint8)
        assert keys_of((images.float() / 255 - 0.1307) / 0.3081) == keys_of(images)


def test_another_picture_is_another_sample():
    changed = IMAGES.clone()
    changed[:, 0, 0, 0] += 64  # wraps around: by far more than a step
    assert not set(keys_of(changed)) & set(keys_of(IMAGES))
    assert not set(keys_of(IMAGES.flip(-1))) & set(keys_of(IMAGES))


def test_a_constant_image_has_no_key_and_one_with_a_constant_channel_has():
    images = torch.zeros(2, 3, 8, 8)
    images[1, 0] = torch.arange(64.0).reshape(8, 8)
    nothing, something = keys_of(images)
    assert nothing is None
    assert something is not None


def test_rows_and_tokens_are_compared_by_value():
    rows = torch.tensor([[1.0, 2.0], [10.0, 20.0], [-0.0, 0.0]])
    assert len(set(keys_of(rows))) == 3
    assert keys_of(rows.double()) == keys_of(rows)
    assert keys_of(rows)[2] == keys_of(torch.zeros(1, 2))[0]
    tokens = torch.arange(200).reshape(2, 10, 10)
    assert keys_of(tokens)[0] != keys_of(tokens)[1]  # affine images of one another


def test_bits_are_compared_as_they_are():
    assert exact(IMAGES) != exact(IMAGES.flip(0))
    assert exact(IMAGES) == exact(IMAGES.clone().to(memory_format=torch.channels_last))
    assert not set(exact(IMAGES.float())) & set(exact(IMAGES))
    assert exact(torch.tensor([1.0, 1.0 + 2**-23]))[0] != exact(torch.tensor([1.0, 1.0 + 2**-23]))[1]


class Pairs(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return IMAGES[index], index


@pytest.mark.parametrize(
    "samples",
    [
        IMAGES[:4],
        IMAGES[:4].numpy(),
        Pairs(),
        [(image, 0) for image in IMAGES[:4]],
        list(IMAGES[:4].numpy()),
        [{"image": image, "label": 0} for image in IMAGES[:4]],
        torch.utils.data.DataLoader(Pairs(), batch_size=3),
    ],
    ids=["tensor", "array", "dataset", "pairs", "arrays", "mappings", "loader"],
)
def test_data_may_be_declared_in_many_ways(samples):
    assert declared_keys({"train": samples, "test": IMAGES[4:6]}, "data.py:sets") == {
        "train": keys_of(IMAGES[:4]),
        "test": keys_of(IMAGES[4:6]),
    }


def test_a_generator_is_data_too():
    sets = {"train": (image for image in IMAGES[:4]), "test": IMAGES[4:6]}
    assert declared_keys(sets, "f")["train"] == keys_of(IMAGES[:4])


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (IMAGES, "`data.py:sets` gave a Tensor; it must give a mapping of names to samples"),
        ({"test": IMAGES}, "gave `test`; it must give `test`, and `train` or `validation` beside it"),
        ({"train": IMAGES, "validation": IMAGES}, "gave `train`, `validation`; it must give `test`"),
        ({}, "gave nothing; it must"),
        ({"train": 3, "test": IMAGES}, "`train` of `data.py:sets` holds no samples: TypeError"),
        ({"train": ["a"], "test": IMAGES}, "`train` of `data.py:sets` holds no samples"),
    ],
)
def test_invalid_data_is_refused(sets, says):
    with pytest.raises(SubjectError, match=r"^[^\n]*$") as told:
        declared_keys(sets, "data.py:sets")
    assert says in str(told.value)
