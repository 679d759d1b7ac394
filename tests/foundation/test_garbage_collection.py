"""The collector pauses in a block and is afterwards what it was before."""

import gc

import pytest

from archcheck.foundation.garbage_collection import collection_paused, collection_rare


@pytest.fixture(autouse=True)
def _collecting():
    yield
    gc.enable()


@pytest.mark.parametrize("before", [True, False])
def test_it_is_left_as_it_was(before):
    (gc.enable if before else gc.disable)()
    with collection_paused():
        assert not gc.isenabled()
    assert gc.isenabled() is before


def test_an_error_leaves_it_as_it_was():
    with pytest.raises(KeyError), collection_paused():
        raise KeyError
    assert gc.isenabled()


@pytest.mark.parametrize("thresholds", [(700, 10, 10), (0, 5, 5)])
def test_rare_collections_end_with_the_block(thresholds):
    before = gc.get_threshold()
    gc.set_threshold(*thresholds)
    try:
        with collection_rare():
            within = gc.get_threshold()
        assert gc.get_threshold() == thresholds
    finally:
        gc.set_threshold(*before)
    assert within == ((50_000, *thresholds[1:]) if thresholds[0] else thresholds)
