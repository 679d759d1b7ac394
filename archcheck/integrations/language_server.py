"""`archcheck lsp`: a language server over standard input and output, on pygls.

A thread judges the files that an editor opens or saves, one after another, while the protocol goes on. A newer save of
a file ends the measurement of the older one; torch stays imported. A quick judgement by the executed graph comes first,
the one with all rules replaces it.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from lsprotocol import types
from pygls.lsp.server import LanguageServer
from pygls.uris import from_fs_path, to_fs_path

from archcheck.contract.files import OWN_FILE, SHARED_FILE
from archcheck.foundation.errors import ArchcheckError, SubjectError, described
from archcheck.foundation.installed_packages import own_version
from archcheck.foundation.source_place import source_lines
from archcheck.integrations.file_judging import Judgement, Remark, judge_contract, judge_file
from archcheck.integrations.source_ranges import class_line, statement_range
from archcheck.workers.cache import Cache
from archcheck.workers.worker_process import Worker

_SEVERITIES = {
    "broken": types.DiagnosticSeverity.Error,
    "error": types.DiagnosticSeverity.Error,
    "vacuous": types.DiagnosticSeverity.Warning,
    "waived": types.DiagnosticSeverity.Hint,
}

CONTRACTS = (OWN_FILE, SHARED_FILE)


def serve(worker: Worker, pages: str) -> None:
    """Serve one editor until it leaves. `pages` is the address of the published manual, empty for the installed one."""
    server = LanguageServer("archcheck", own_version(), text_document_sync_kind=types.TextDocumentSyncKind.Full)
    board = _Board(server, pages)
    judge = _Judge(worker, board)

    @server.feature(types.INITIALIZE)
    def initialize(params: types.InitializeParams) -> None:
        root = to_fs_path(params.root_uri) if params.root_uri else params.root_path
        if root and Path(root).is_dir():
            os.chdir(root)  # so that messages name files as the editor does

    @server.feature(types.INITIALIZED)
    async def initialized(params: types.InitializedParams) -> None:
        board.loop = asyncio.get_running_loop()
        judge.start()

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: types.DidOpenTextDocumentParams) -> None:
        judge.submit(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def saved(params: types.DidSaveTextDocumentParams) -> None:
        uri = params.text_document.uri
        is_contract = Path(uri).name in CONTRACTS
        for each in (uri, *(tuple(server.workspace.text_documents) if is_contract else ())):
            judge.submit(each)

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    def hover(params: types.HoverParams) -> types.Hover | None:
        return board.hover(params.text_document.uri, params.position.line)

    try:
        server.start_io()
    finally:
        judge.close()


class _Board:
    """What the editor has been shown: the last judgement of each source."""

    def __init__(self, server: LanguageServer, pages: str) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._server = server
        self._pages = pages
        self._judgements: dict[str, Judgement] = {}
        self._texts: dict[Path, list[str]] = {}
        """The lines of the files that were judged, as they were then."""

    @property
    def depends(self) -> Mapping[str, frozenset[Path]]:
        """The files of each source."""
        return {source: frozenset(_files(judgement)) for source, judgement in self._judgements.copy().items()}

    def show(self, judgement: Judgement) -> None:
        """Show a judgement instead of the last one of its source. Any thread may call this."""
        if self.loop and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._replace, judgement)

    def hover(self, uri: str, line: int) -> types.Hover | None:
        """Return the figures of the layers at a line from 0, unless the line has been edited since it was judged."""
        file = _path_of(uri)
        judged = self._texts.get(file, []) if file else []
        if file is None or line >= len(judged) or self._shown_line(uri, line) != judged[line]:
            return None
        found = (each.layers.get((file, line + 1), ()) for each in self._judgements.values())
        texts = list(dict.fromkeys(text for several in found for text in several))
        if not texts:
            return None
        return types.Hover(contents=types.MarkupContent(kind=types.MarkupKind.PlainText, value="\n".join(texts)))

    def _shown_line(self, uri: str, line: int) -> str | None:
        """Return a line as the editor shows it; of a file that it has not opened, that on disk."""
        try:
            lines = source_lines(self._server.workspace.get_text_document(uri).source)
        except (OSError, ValueError):  # the file is gone, or is no text
            return None
        return lines[line] if line < len(lines) else None

    def _replace(self, judgement: Judgement) -> None:
        before = self._judgements.get(judgement.source)
        self._judgements[judgement.source] = judgement
        for file in {*_files(judgement)}:
            self._texts[file] = source_lines(_read(file))
        for file in sorted({remark.file for each in (before, judgement) if each for remark in each.remarks}):
            self._publish(file)

    def _publish(self, file: Path) -> None:
        text = _read(file)
        remarks = (each for judgement in self._judgements.values() for each in judgement.remarks if each.file == file)
        shown = [self._diagnostic(text, remark) for remark in _sorted(text, remarks)]
        params = types.PublishDiagnosticsParams(uri=str(from_fs_path(str(file))), diagnostics=shown)
        self._server.text_document_publish_diagnostics(params)

    def _diagnostic(self, text: str, remark: Remark) -> types.Diagnostic:
        (line, column), (last, end) = statement_range(text, remark.line)
        href = self._page_of(remark.code) if remark.code else None
        return types.Diagnostic(
            range=types.Range(start=types.Position(line, column), end=types.Position(last, end)),
            severity=_SEVERITIES[remark.verdict],
            code=remark.code,
            code_description=types.CodeDescription(href=href) if href else None,
            source="archcheck",
            message=remark.message,
        )

    def _page_of(self, rule: str) -> str | None:
        """Return the address of the page of a rule; a rule of a plugin has none."""
        page = Path(str(files("archcheck"))) / "pages" / "rules" / f"{rule}.md"
        if not page.is_file():
            return None
        return f"{self._pages}/rules/{rule}.md" if self._pages else page.as_uri()


def _files(judgement: Judgement) -> Iterator[Path]:
    yield from (file for file, _ in judgement.layers)
    yield from (remark.file for remark in judgement.remarks)


def _sorted(text: str, remarks: Iterable[Remark]) -> list[Remark]:
    placed = (replace(each, line=class_line(text, each.name), name=None) if each.name else each for each in remarks)
    return sorted(dict.fromkeys(placed), key=lambda remark: remark.line)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _path_of(uri: str) -> Path | None:
    """Return the file of a document; `None` for one that is no file, such as the older side of a comparison."""
    path = to_fs_path(uri) if uri.lower().startswith("file:") else None
    try:
        return Path(path).resolve() if path else None
    except (OSError, ValueError):  # such as a name with a null character
        return None


class _Judge:
    """A thread that judges files, each as soon as the one before is done, and shows what it found."""

    def __init__(self, worker: Worker, board: _Board) -> None:
        self._worker = worker
        self._board = board
        self._waiting: dict[Path, None] = {}
        self._changed = threading.Condition()
        self._current: Path | None = None
        self._stale = self._closed = False
        self._thread = threading.Thread(target=self._run, name="archcheck judge", daemon=True)
        worker.is_stale = lambda: self._stale

    def start(self) -> None:
        """Begin to judge, once."""
        if not self._thread.ident:
            self._thread.start()

    def submit(self, uri: str) -> None:
        """Judge a file after those that wait, and end its older run."""
        file = _path_of(uri)
        if file is None or not (file.suffix == ".py" or file.name in CONTRACTS):
            return
        with self._changed:
            self._stale = self._stale or file == self._current
            self._waiting[file] = None
            self._changed.notify()

    def close(self) -> None:
        """End the run, the thread and the worker."""
        with self._changed:
            self._closed = self._stale = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()
        self._worker.close()

    def _run(self) -> None:
        while (file := self._next()) is not None:
            judge = self._judgements if file.suffix == ".py" else judge_contract
            self._show(file, judge)

    def _next(self) -> Path | None:
        with self._changed:
            self._current = None
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            self._current = next(iter(self._waiting))
            del self._waiting[self._current]
            self._stale = False
            return self._current

    def _judgements(self, file: Path) -> Iterator[Judgement]:
        if self._worker.cache is not None:
            self._worker.cache = Cache()  # packages may have been installed meanwhile
        return judge_file(self._worker, file, self._board.depends)

    def _show(self, file: Path, judge: Callable[[Path], Iterator[Judgement]]) -> None:
        try:
            for judgement in judge(file):
                if self._stale:
                    return
                self._board.show(judgement)
        except SubjectError as error:
            if error.kind != "cancelled":
                self._board.show(_failure(file, str(error)))
        except ArchcheckError as error:
            self._board.show(_failure(file, str(error)))
        except Exception as error:  # an editor that shows nothing any more is worse than a remark
            self._board.show(_failure(file, f"archcheck itself failed: {described(error)}"))


def _failure(file: Path, message: str) -> Judgement:
    return Judgement(
        source=str(file), remarks=(Remark(file=file, line=1, verdict="error", message=" ".join(message.split())),)
    )
