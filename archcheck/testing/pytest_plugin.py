"""`pytest --archcheck`: every rule of a contract is a test, `pyproject.toml::mnist::max-params`.

Only pytest and the standard library are imported until the option is given. A subject is measured once in a
process, in a worker, when the first of its rules runs; collecting measures nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from archcheck.testing.pytest_options import pytest_addoption

if TYPE_CHECKING:
    from archcheck.contract import Contract, Stated, SubjectEntry
    from archcheck.rules.findings import Outcome, Report
    from archcheck.workers.worker_process import Worker

__all__ = ["pytest_addoption"]

NAME = "archcheck-contract"
"""Under this name the plugin of a run with `--archcheck` is registered."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and, under `--archcheck`, the contract."""
    config.addinivalue_line("markers", "archcheck: a rule of an archcheck contract")
    if config.getoption("--archcheck"):
        from archcheck.facts.records import PARANOID
        from archcheck.foundation.platform_support import refuse_if_unable

        _or_usage_error(refuse_if_unable)
        file = _contract_file(config)
        remembers = not config.getoption("--archcheck-no-cache")
        sandbox = _sandbox(config)
        needs = [] if config.getoption("--archcheck-no-paranoid") else [PARANOID]
        unsafe = config.getoption("--archcheck-unsafe")
        limit = config.getoption("--archcheck-import-timeout")
        run = ContractRun(file, remembers=remembers, sandbox=sandbox, unsafe=unsafe, needs=needs, import_timeout=limit)
        config.pluginmanager.register(run, NAME)
        if not any(_covers(config, argument, file) for argument in config.args):
            config.args.append(str(file))


def _sandbox(config: pytest.Config) -> bool:
    """Whether subjects are measured in a sandbox. A missing sandbox is a usage error."""
    if not config.getoption("--archcheck-sandbox"):
        return False
    from archcheck.workers.sandbox import refuse_if_unable

    _or_usage_error(refuse_if_unable)
    return True


def _or_usage_error(refuse: Callable[[], None]) -> None:
    """Raise pytest's usage error for an `ArchcheckError`."""
    from archcheck.foundation.errors import ArchcheckError

    try:
        refuse()
    except ArchcheckError as error:
        raise pytest.UsageError(f"archcheck: {str(error).removeprefix('archcheck ')}") from None


def _contract_file(config: pytest.Config) -> Path:
    from archcheck.contract import discover

    here = config.invocation_params.dir
    given: Path | None = config.getoption("--archcheck-config")
    file = here / given if given else discover(here) or discover(config.rootpath)
    if file is None:
        raise pytest.UsageError(
            f"archcheck: no contract in {here} or above; `archcheck init FILE` prints a first one, to be saved as "
            "archcheck.toml or in pyproject.toml; --archcheck-config names a file elsewhere"
        )
    if not file.is_file():
        raise pytest.UsageError(f"archcheck: the contract {given} does not exist")
    return file.resolve()


def _covers(config: pytest.Config, argument: str, file: Path) -> bool:
    """Whether a command-line argument is `file`, a test in it, or a folder around it."""
    path = (config.invocation_params.dir / argument.partition("::")[0]).resolve()
    # Before pytest 9, a file beside a folder around it kept the rest of that folder from being collected.
    return path == file or (pytest.version_tuple < (9,) and path in file.parents)


class ContractRun:
    """The state of one process during a run: the contract file, the worker, and a report for each subject."""

    def __init__(
        self,
        file: Path,
        *,
        remembers: bool,
        sandbox: bool,
        unsafe: bool,
        needs: Sequence[str],
        import_timeout: float | None = None,
    ) -> None:
        self.file = file
        self.remembers = remembers
        self.sandbox = sandbox
        self.unsafe = unsafe
        self.needs = needs
        self.import_timeout = import_timeout
        self.collected = False
        self._worker: Worker | None = None
        self._reports: dict[str, Report] = {}

    def report(self, contract: Contract, entry: SubjectEntry) -> Report:
        """Measure and judge a subject the first time it is asked for."""
        from archcheck.facts.option_words import IMPORT_TIMEOUT
        from archcheck.judging.engine import check_subject
        from archcheck.workers.cache import Cache
        from archcheck.workers.worker_process import Worker

        if entry.name not in self._reports:
            self._worker = self._worker or Worker(
                import_timeout=self.import_timeout or IMPORT_TIMEOUT,
                cache=Cache() if self.remembers else None,
                sandbox=self.sandbox,
            )
            asked = replace(entry, unsafe=self.unsafe)
            self._reports[entry.name] = check_subject(self._worker, contract, asked, needs=self.needs)
        return self._reports[entry.name]

    def pytest_report_header(self) -> str:
        """Say which contract is judged."""
        from archcheck.foundation.words import visible

        return visible(f"archcheck: {os.path.relpath(self.file)}")

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> ContractFile | None:
        """Collect the contract."""
        if file_path.resolve() != self.file:
            return None
        self.collected = True
        contract_file: ContractFile = ContractFile.from_parent(parent, path=file_path)
        return contract_file

    def pytest_collection_finish(self) -> None:
        """Refuse to pass when pytest was told to ignore the contract."""
        if not self.collected:
            raise pytest.UsageError(f"archcheck: {self.file} is in a place that pytest ignores; let it collect that")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Make a failure point at the contract and show the finding, not the line of this plugin."""
        report = yield
        crash = getattr(report.longrepr, "reprcrash", None)
        if isinstance(item, RuleItem) and crash and item.said:
            crash.path, crash.lineno, crash.message = str(item.path), item.stated.where.line, item.said
        return report

    def pytest_sessionfinish(self) -> None:
        """End the worker."""
        if self._worker:
            self._worker.close()


class ContractFile(pytest.File):
    """A contract; its children are subjects."""

    def collect(self) -> Iterator[SubjectNode]:
        """Read the contract."""
        from archcheck.contract import load
        from archcheck.foundation.words import visible

        contract = load(self.path)
        for entry in contract.subjects:
            yield SubjectNode.from_parent(self, name=visible(entry.name), contract=contract, entry=entry)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:  # type: ignore[override]
        """Show the mistakes of a contract, each on its line, and no traceback."""
        from archcheck.foundation.errors import ArchcheckError
        from archcheck.foundation.words import visible

        if isinstance(excinfo.value, ArchcheckError):
            return "\n".join(map(visible, str(excinfo.value).splitlines()))
        return super().repr_failure(excinfo)


class SubjectNode(pytest.Collector):
    """A subject; its children are the rules stated for it."""

    def __init__(self, *, contract: Contract, entry: SubjectEntry, **node: Any) -> None:
        super().__init__(**node)
        self.contract = contract
        self.entry = entry

    def collect(self) -> Iterator[RuleItem]:
        """Make a test of every rule. A subject without rules is an error."""
        if not self.entry.rules:
            where = self.entry.where
            raise self.CollectError(f"`{self.name}` at {where} has no rules, so nothing is promised; state some")
        for stated in self.entry.rules:
            yield RuleItem.from_parent(self, name=stated.instance, stated=stated)


class RuleItem(pytest.Item):
    """A rule stated for a subject."""

    parent: SubjectNode

    def __init__(self, *, stated: Stated, **node: Any) -> None:
        super().__init__(**node)
        self.stated = stated
        self.report: Report | None = None
        self.said = ""
        self.add_marker("archcheck")

    def setup(self) -> None:
        """Measure the subject once. If it cannot be measured, each of its rules is an error."""
        from archcheck.foundation.words import visible

        run: ContractRun = self.config.pluginmanager.get_plugin(NAME)  # type: ignore[assignment]
        subject = self.parent
        self.report = run.report(subject.contract, subject.entry)
        if self.report.error:
            self.user_properties.append(("verdict", "error"))
            if (worth := self.stated.rule.worth) is not None:
                self.user_properties += [("points", _written(worth)), ("earned", "0.0")]
            message = visible(self.report.error.message)
            self._fail(message, f"{subject.name}: {message}")

    def runtest(self) -> None:
        """Show the verdict of this rule."""
        from archcheck.foundation.words import visible
        from archcheck.rules.findings import Verdict

        assert self.report is not None
        outcome = next(one for one in self.report.outcomes if one.instance == self.stated.instance)
        self.user_properties += _properties(outcome)
        if outcome.verdict is Verdict.WAIVED:
            pytest.xfail(visible(outcome.waiver or "waived"))  # does nothing under `--runxfail`
        if outcome.verdict is not Verdict.KEPT:
            self._fail(visible(f"{outcome.verdict.value}: {outcome.summary}"), self._anatomy(outcome))

    def _fail(self, line: str, text: str) -> NoReturn:
        self.said = line
        pytest.fail(text, pytrace=False)

    def _anatomy(self, outcome: Outcome) -> str:
        """Return the outcome as in the text report, without the count of verdicts."""
        from archcheck.render import render
        from archcheck.render.wording import tally

        assert self.report is not None
        alone = replace(self.report, outcomes=(outcome,))
        return render([alone], "text", outcomes_only=True).rstrip().removesuffix(tally([alone])).rstrip()

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Point at the line of the contract that states the rule."""
        line = self.stated.where.line
        return self.path, line - 1 if line else None, f"{self.parent.name}::{self.name}"


def _properties(outcome: Outcome) -> Sequence[tuple[str, str]]:
    names = ("found", "limit", "unit", "verdict", "points", "earned")
    values = [(name, getattr(outcome, name)) for name in names]
    return [
        (name, str(value) if isinstance(value, str) else _written(value)) for name, value in values if value is not None
    ]


def _written(value: Any) -> str:
    """Return `value` as JSON, or as a report shows it where JSON has no such number."""
    from archcheck.rules.findings import plain

    try:
        return json.dumps(value, default=str, allow_nan=False)
    except ValueError:
        return plain(value)
