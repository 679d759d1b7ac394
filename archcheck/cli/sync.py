"""`archcheck sync`: write measured figures between the markers of texts and into badges."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from archcheck.cli.badges import badges, message_of
from archcheck.cli.contract_file import contract_of
from archcheck.cli.output import note, save, write
from archcheck.cli.worker_options import worker_of
from archcheck.contract.document import show_path
from archcheck.facts.facts import Facts
from archcheck.foundation.errors import ArchcheckError, NotMeasured, SubjectError
from archcheck.foundation.file_locks import lock_beside
from archcheck.foundation.markers import CLOSING, COMPARISON, Region, regions, rewrite
from archcheck.foundation.regular_files import refuse_irregular
from archcheck.foundation.text_files import Text, read_text
from archcheck.foundation.words import amount, did_you_mean, listed, quote, visible
from archcheck.render.accuracy_plot import accuracy_plot
from archcheck.render.wording import one_line
from archcheck.rules.claims import Synced
from archcheck.rules.queries.comparisons import comparison
from archcheck.rules.queries.marked_texts import differences, is_block, shows_training, written_for
from archcheck.rules.queries.training_runs import accuracies

if TYPE_CHECKING:
    from archcheck.contract import Contract

Measured = Mapping[str, Facts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A text file with the regions to write in it."""

    file: Path
    text: Text
    regions: tuple[Region, ...]


def sync(options: Namespace) -> int:
    """Write texts and badges where they differ from what is measured. With `--check`, only report the differences.

    Everything is read and measured before anything is written.
    """
    if options.point and options.plot is None:
        raise ArchcheckError("--point draws into a plot; add --plot FILE")
    contract = contract_of(options)
    files, subjects = _words(contract, options)
    try:
        pages = [_page(contract, file, subjects) for file in files]
        measured = _measure(contract, pages, subjects, options)
        changes = [*(_change(page, measured) for page in pages), *_badges(options.badges, measured)]
        changes += _plot(options, measured)
    except NotMeasured as error:
        place = f"{error.where}: " if error.where else ""
        asks = str(error).endswith("?")  # it suggests what to do itself
        raise ArchcheckError(f"{place}{error}" + (f"; {error.fix}" if error.fix and not asks else "")) from None
    for change in changes:
        _apply(change, writes=not options.check)
    return int(options.check and any(change.lines for change in changes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The new content of a file: `content`, or `None` to delete it. `lines` say what differs, `same` that nothing does.

    `before` is the content when it was read, and `words` are the arguments for `archcheck sync`.
    """

    file: Path
    before: str | None
    content: str | None
    lines: tuple[str, ...]
    same: str
    words: str


def _words(contract: Contract, options: Namespace) -> tuple[list[Path], tuple[str, ...]]:
    """Return the files and the subjects among the words. Without files, these are the files of `synced`, unless badges
    are asked for.

    A word that names both is a file.
    """
    names = {entry.name for entry in contract.subjects}
    words: list[str] = list(dict.fromkeys(options.words))
    subjects = tuple(word for word in words if word in names and not Path(word).is_file())
    files = [Path(word) for word in words if word not in subjects]
    for file in files:
        if not file.exists():
            hint = did_you_mean(str(file), names, f"the contract has {listed(sorted(names))}")
            raise ArchcheckError(f"{quote(str(file))} is neither a file nor a subject{hint}")
    if not files and options.badges is None and options.plot is None:
        files = list(dict.fromkeys(_promised(contract, subjects)))
        if not files:
            raise ArchcheckError('name a text, such as README.md, or state `synced = ["README.md"]` in the contract')
    return files, subjects


def _promised(contract: Contract, subjects: Collection[str]) -> Iterator[Path]:
    for entry in contract.subjects:
        if not subjects or entry.name in subjects:
            rules = (stated.rule for stated in entry.rules)
            yield from (Path(contract.root, file) for rule in rules if isinstance(rule, Synced) for file in rule.files)


def _page(contract: Contract, file: Path, subjects: Collection[str]) -> Page:
    shown = show_path(file)
    text = read_text(file, shown)
    found = regions(text, [entry.name for entry in contract.subjects])
    wanted = tuple(region for region in found if not subjects or any(each in subjects for each in region.subjects))
    if not wanted:
        whose = f" of {listed(subjects)}" if found else ""
        name = next(iter(subjects), contract.subjects[0].name if contract.subjects else "SUBJECT")
        raise ArchcheckError(f"{shown} has no markers{whose}; write <!-- archcheck: {name} --> and {CLOSING} into it")
    return Page(file=file, text=text, regions=wanted)


def _measure(contract: Contract, pages: Sequence[Page], subjects: Sequence[str], options: Namespace) -> Measured:
    """Measure the subjects that the pages name, with the training record where it is shown."""
    from archcheck.judging.engine import measure_subject

    needed: dict[str, bool] = {}
    if options.badges is not None or options.plot is not None:
        needed = dict.fromkeys(subjects or [entry.name for entry in contract.subjects], True)
    for region in (region for page in pages for region in page.regions):
        for name in region.subjects:
            needed[name] = needed.get(name, False) or shows_training(region)
    measured = {}
    with worker_of(options) as worker:
        for name, trained in needed.items():
            entry = replace(contract.subject(name), rules=())
            try:
                measured[name] = measure_subject(worker, contract, entry, needs=["training"] if trained else [])
            except SubjectError as error:
                raise ArchcheckError(f"{visible(name)}: {error}") from None
            if trained and entry.training and entry.training.record:
                _note_accuracy(measured[name])
    return measured


def _note_accuracy(facts: Facts) -> None:
    """Say why there is no accuracy, if there should be a record."""
    try:
        accuracies(facts)
    except NotMeasured as error:
        note(f"{facts.subject.name}: no accuracy is shown: {error}")


def _change(page: Page, measured: Measured) -> Change:
    contents = {region: _written(page.text, region, measured) for region in page.regions}
    stands = {region: page.text.demand()[region.start : region.end] for region in page.regions}
    return Change(
        file=page.file,
        before=page.text.content,
        content=rewrite(page.text, page.regions, contents.__getitem__),
        lines=tuple(
            _told(region, stands[region], belongs) for region, belongs in contents.items() if stands[region] != belongs
        ),
        same=f"{amount(len(contents), 'places')} between markers as measured",
        words=show_path(page.file),
    )


def _written(text: Text, region: Region, measured: Measured) -> str:
    if region.path == COMPARISON:
        return comparison(text, region, [measured[name] for name in region.subjects])
    return written_for(text, region, measured[region.subject])


def _told(region: Region, stands: str, belongs: str) -> str:
    if is_block(region):
        return f"{region.where}: {region.subject}: {'; '.join(differences(stands, belongs))}"
    return f"{region.where}: {region.subject} {region.path}: {stands.strip() or 'nothing'} -> {belongs}"


def _badges(folder: Path | None, measured: Measured) -> Iterator[Change]:
    for file, content in (badges(measured, folder) if folder else {}).items():
        before = _content_of(file)
        lines: tuple[str, ...] = ()
        if content != before:
            told = [message_of(each) if each is not None else "nothing" for each in (before, content)]
            lines = (f"{show_path(file)}: {' -> '.join(told)}",)
        if content is not None or lines:
            yield Change(
                file=file, before=before, content=content, lines=lines, same="as measured", words=f"--badges {folder}"
            )


def _plot(options: Namespace, measured: Measured) -> Iterator[Change]:
    """Yield the plot of the subjects that are asked for, if there is one to write."""
    file = options.plot
    if file is None:
        return
    wanted = [measured[word] for word in options.words if word in measured] or list(measured.values())
    content = accuracy_plot(wanted, options.point)
    before = _content_of(file)
    lines = () if content == before else (f"{show_path(file)}: {amount(len(wanted), 'subjects')} drawn anew",)
    yield Change(
        file=file,
        before=before,
        content=content,
        lines=lines,
        same="drawn as measured",
        words=f"--plot {show_path(file)}",
    )


def _content_of(file: Path) -> str | None:
    """Return the text of a file that is to be replaced, or `None` if there is none."""
    try:
        refuse_irregular(file)
    except OSError as error:
        raise ArchcheckError(f"cannot write {show_path(file)}: {error.strerror}; move it away") from None
    return read_text(file, show_path(file)).content if file.is_file() else None


def _apply(change: Change, *, writes: bool) -> None:
    """Print what differs, and write it."""
    for line in change.lines:
        write(f"{one_line(line)}\n")
    if not change.lines:
        write(f"same     {visible(show_path(change.file))}: {change.same}\n")
    elif not writes:
        write(f"stale    {visible(show_path(change.file))}: `archcheck sync {visible(change.words)}` updates it\n")
    else:
        _make_folder(change.file.parent)
        _write(change)


def _write(change: Change) -> None:
    """Write a file if nobody has edited it since it was read."""
    shown = show_path(change.file)
    try:
        with lock_beside(change.file):
            if read_text(change.file, shown).content != change.before:
                raise ArchcheckError(f"{shown} was edited while it was measured, and is left alone; sync once more")
            if change.content is None:
                change.file.unlink(missing_ok=True)
            else:
                save(change.content, change.file)
    except OSError as error:
        raise ArchcheckError(f"cannot write {shown}: {error.strerror}; choose another file") from None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise ArchcheckError(f"cannot make {folder}: {error.strerror}; choose another folder") from None
