import gzip

import pytest
import torch
import torchvision

from reference_models.mnist import data, digest
from reference_models.mnist.errors import DataError, UsageError

# Another order would validate on images that the recorded runs were trained on.
VALIDATION_SHA256 = "35676f05599b3ffadae3a274c8213736db37d504db39b93be403c1e325dbf4e8"
LOADING = """
import sys, time, torch
from reference_models.mnist import data
started = time.process_time()
data.load_train(), data.load_test()
print(time.process_time() - started, "torchvision" in sys.modules, "archcheck" in sys.modules)
"""


@pytest.fixture
def torchvision_folder(tmp_path):
    """A folder as `torchvision.datasets.MNIST(root)` lays it out: raw files in MNIST/raw."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in data.FILES:
        (raw / name).write_bytes(gzip.decompress((data.BUNDLED / f"{name}.gz").read_bytes()))
    return tmp_path


def test_what_we_read_is_what_torchvision_reads(torchvision_folder):
    ours, theirs = (
        data.load_test(torchvision_folder),
        torchvision.datasets.MNIST(torchvision_folder, train=False),
    )
    assert torch.equal(ours.images.squeeze(1), theirs.data)
    assert torch.equal(ours.labels, theirs.targets)

    train, validation = data.load_train(torchvision_folder)
    theirs = torchvision.datasets.MNIST(torchvision_folder, train=True)
    positions = data.split()
    assert torch.equal(train.images.squeeze(1), theirs.data[positions.train])
    assert torch.equal(validation.images.squeeze(1), theirs.data[positions.validation])
    assert torch.equal(train.labels, theirs.targets[positions.train])
    assert torch.equal(validation.labels, theirs.targets[positions.validation])


def test_bundled_files_and_torchvisions_folder_hold_the_same(torchvision_folder):
    assert torch.equal(data.load_test(torchvision_folder).images, data.load_test().images)


def test_files_may_lie_in_the_folder_itself(torchvision_folder):
    assert len(data.load_test(torchvision_folder / "MNIST" / "raw")) == 10_000


def test_normalising_takes_out_the_training_files_mean_and_deviation():
    images = data.scaled(torch.cat([part.images for part in data.load_train()]))
    assert (images.min(), images.max()) == (0, 1)
    assert images.mean() == pytest.approx(data.MEAN, abs=5e-5)
    assert images.std() == pytest.approx(data.STD, abs=5e-5)
    out = data.normalised(images)
    assert out.mean() == pytest.approx(0, abs=1e-3)
    assert out.std() == pytest.approx(1, abs=1e-3)


def test_the_split_is_whole_disjoint_and_always_the_same():
    parts = data.split()
    assert (len(parts.train), len(parts.validation)) == (50_000, 10_000)
    assert torch.equal(torch.cat((parts.train, parts.validation)).sort().values, torch.arange(60_000))
    assert digest.of_integers(parts.validation) == VALIDATION_SHA256


def test_the_split_ignores_the_callers_random_state():
    torch.manual_seed(1)
    first = data.split()
    torch.manual_seed(2)
    assert torch.equal(first.train, data.split().train)


def test_a_limit_takes_the_first_of_each_part():
    train, validation = data.load_train(limit=5)
    assert (len(train), len(validation), len(data.load_test(limit=5))) == (5, 5, 5)
    assert torch.equal(train.labels, data.load_train()[0].labels[:5])


@pytest.mark.parametrize("load", [data.load_train, data.load_test])
def test_a_limit_below_one_is_refused(load):
    with pytest.raises(UsageError, match="`--limit 0` leaves no images; pass 1 or more"):
        load(limit=0)


def test_a_missing_file_is_named_with_its_digest_and_the_next_step(tmp_path):
    with pytest.raises(DataError) as caught:
        data.load_test(tmp_path)
    message = str(caught.value)
    assert "`t10k-images-idx3-ubyte` is missing" in message
    assert data.FILES["t10k-images-idx3-ubyte"] in message
    assert "pass `--data DIR`" in message
    assert "\n" not in message


def test_a_changed_byte_is_found_and_both_digests_named(torchvision_folder):
    path = torchvision_folder / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        data.load_test(torchvision_folder)
    message = str(caught.value)
    assert f"`{path}` is damaged" in message
    assert f"expected content with sha256 `{data.FILES[path.name]}`" in message
    assert f"found `{digest.of_bytes(content)}`" in message


def test_a_truncated_gz_file_is_damaged_too(tmp_path):
    name = "t10k-images-idx3-ubyte"
    stored = (data.BUNDLED / f"{name}.gz").read_bytes()[:-1000]
    (tmp_path / f"{name}.gz").write_bytes(stored)
    with pytest.raises(DataError) as caught:
        data.load_test(tmp_path)
    assert data.FILES[name] in str(caught.value)
    assert f"no complete gzip stream (the compressed file's sha256 is `{digest.of_bytes(stored)}`)" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not gzip", b"\x1f\x8b\x08\x00 broken after its first bytes"])
def test_any_other_rubbish_is_damaged_too(tmp_path, content):
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(DataError, match="is damaged: expected content with sha256"):
        data.load_test(tmp_path)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "t10k-images-idx3-ubyte").mkdir()
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        data.load_test(tmp_path)


def test_loading_takes_under_two_cpu_seconds_and_neither_torchvision_nor_archcheck(python):
    done = python("-c", LOADING)
    seconds, *imported = done.stdout.split()
    assert float(seconds) < 2, done
    assert imported == ["False", "False"]
