"""What belongs between the markers of a text, and how it differs from what stands there."""

from __future__ import annotations

import re
from collections.abc import Iterator

from archcheck.facts.facts import Facts
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.markers import COMPARISON, Region, as_block
from archcheck.foundation.text_files import Text
from archcheck.rules.queries.figures import figure_text, needs_training, table
from archcheck.rules.queries.model_cards import MODEL_CARD, model_card


def is_block(region: Region) -> bool:
    """Whether lines of their own stand between the markers, and not a single figure."""
    return region.path in (None, MODEL_CARD, COMPARISON)


def shows_training(region: Region) -> bool:
    """Whether the record of a training run has to be read for what stands between the markers."""
    return is_block(region) or needs_training(region.path or "")


def written_for(text: Text, region: Region, facts: Facts) -> str:
    """Return the text that belongs between two markers: a figure, or a table or a model card on lines of their own.

    Raises `NotMeasured` with the place for an unknown figure, and for a card that has no place for what is measured.
    """
    if region.path is None:
        return as_block(table(facts), text, region)
    if region.path == MODEL_CARD:
        return model_card(text, region, facts)
    try:
        return figure_text(region.path, facts)
    except ValueError as error:
        raise NotMeasured(str(error), where=region.where, fix="name a figure there that is one") from None
    except NotMeasured as error:
        raise NotMeasured(str(error), where=region.where, fix=error.fix) from None


def differences(stands: str, belongs: str) -> Iterator[str]:
    """Yield how the rows of a table, or the lines of a model card, differ from the right ones. If the table has other
    lines, only say that they differ.
    """
    old, new = _rows(stands), _rows(belongs)
    if not new:
        yield from _changed_lines(stands, belongs)
        return
    if not old:
        yield "there is none yet"
        return
    rows = [f"{name} {old.get(name, 'nothing')} -> {value}" for name, value in new.items() if old.get(name) != value]
    rows += [f"{name} {value} -> nothing" for name, value in old.items() if name not in new]
    yield from rows or ["its lines differ"]


def _changed_lines(stands: str, belongs: str) -> Iterator[str]:
    """Yield the lines that have another value, if all others are the same."""
    old, new = ([line.strip() for line in text.splitlines() if line.strip(" \t#")] for text in (stands, belongs))
    changed = [(was, now) for was, now in zip(old, new, strict=False) if was != now]
    if not old:
        yield "there is none yet"
    elif len(old) == len(new) and changed and all(was.split(":")[0] == now.split(":")[0] for was, now in changed):
        yield from (f"{was} -> {now.partition(': ')[2] or now}" for was, now in changed)
    else:
        yield "its lines differ"


def _rows(text: str) -> dict[str, str]:
    """Return the rows below the head by their first cell."""
    cells = [re.fullmatch(r"[ \t>]*\|([^|]*)\|([^|]*)\|\s*", line) for line in text.splitlines()]
    rows = [(row[1].strip(), row[2].strip()) for row in cells if row]
    return dict(rows[2:])
