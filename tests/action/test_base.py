"""The step that reads the snapshot of the base, in real repositories."""

from pathlib import Path

import pytest

from tests.action.repository import commit, git, pull_request
from tests.action.workflow import Run, run_action

FILE = "archcheck.snapshot.json"
OLD = {"archcheck.snapshot_json": "of the base\n"}
NEW = {"archcheck.snapshot_json": "of the change\n"}
ZEROS = "0" * 40


def base(workspace: Path, temporary: Path, event: str, *, inputs: dict[str, str] | None = None, **given: str) -> Run:
    head = git(workspace, "rev-parse", "HEAD")
    environment = {"GITHUB_EVENT_NAME": event, "GITHUB_SHA": head, "GITHUB_BASE_REF": "", **given}
    run = run_action(workspace, temporary, inputs or {}, only="Read the base", **environment)
    assert run.code == 0, run.logs
    return run


def read(run: Run) -> str:
    return Path(run.steps["base"]["snapshot"]).read_text()


def notice(run: Run) -> str:
    (line,) = run.logs["Read the base"].splitlines()
    assert run.steps["base"] == {}
    start = "::notice title=archcheck::no comparison with the base: "
    assert line.startswith(start)
    return line.removeprefix(start)


@pytest.fixture
def merged(tmp_path: Path) -> Path:
    folder = tmp_path / "merged"
    pull_request(folder, base=OLD, change=NEW)
    return folder


def test_of_a_pull_request_the_first_parent_of_the_merge_is_read(merged: Path, tmp_path: Path) -> None:
    run = base(merged, tmp_path, "pull_request", GITHUB_BASE_REF="main")
    assert read(run) == "of the base\n"
    assert run.steps["base"]["commit"] == git(merged, "rev-parse", "HEAD^1")
    assert (merged / FILE).read_text() == "of the change\n"
    assert git(merged, "status", "--porcelain") == ""


def test_where_the_head_itself_is_checked_out_the_base_branch_is_asked(merged: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    sha, head = git(merged, "rev-parse", "HEAD"), git(merged, "rev-parse", "change")
    git(tmp_path, "clone", "--quiet", str(merged), str(clone))
    git(clone, "checkout", "--quiet", head)
    # The change was begun before the base had a snapshot; where they part is what it is compared with.
    words = notice(base(clone, tmp_path, "pull_request", GITHUB_BASE_REF="main", GITHUB_SHA=sha))
    assert words.startswith(f"{FILE} is not committed at {git(clone, 'merge-base', 'origin/main', 'HEAD')[:10]}; ")
    assert git(clone, "rev-parse", "--is-shallow-repository") == "false"
    git(merged, "checkout", "--quiet", "change")
    git(merged, "merge", "--quiet", "-X", "ours", "--message", "catch up", "main")
    git(clone, "fetch", "--quiet", "origin")
    git(clone, "checkout", "--quiet", "origin/change")
    assert read(base(clone, tmp_path, "pull_request_target", GITHUB_BASE_REF="main")) == "of the base\n"


def test_of_a_push_the_commit_before_it_is_read(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    first = commit(tmp_path, **OLD)
    commit(tmp_path, **{"archcheck.snapshot_json": "between\n"})
    commit(tmp_path, **NEW)
    assert read(base(tmp_path, tmp_path, "push", inputs={"event.before": first})) == "of the base\n"
    assert read(base(tmp_path, tmp_path, "push", inputs={"event.before": ZEROS})) == "between\n"
    assert read(base(tmp_path, tmp_path, "schedule")) == "between\n"


def test_a_snapshot_may_lie_below_and_have_a_name_of_its_own(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "week 3").mkdir()
    commit(tmp_path / "week 3", **{"of mine_json": "mine\n"})
    commit(tmp_path)
    inputs = {"working-directory": "week 3", "snapshot": "of mine.json"}
    assert read(base(tmp_path, tmp_path, "push", inputs=inputs)) == "mine\n"


def test_a_shallow_clone_fetches_the_one_commit_it_lacks(merged: Path, tmp_path: Path) -> None:
    clone = shallow(merged, tmp_path)
    assert git(clone, "rev-list", "--count", "HEAD") == "1"
    assert read(base(clone, tmp_path, "pull_request", GITHUB_BASE_REF="main")) == "of the base\n"


def test_a_shallow_clone_that_may_not_fetch_says_what_to_do(merged: Path, tmp_path: Path) -> None:
    clone = shallow(merged, tmp_path)
    onto = git(merged, "rev-parse", "HEAD^1")
    git(clone, "remote", "set-url", "origin", str(tmp_path / "gone"))
    words = notice(base(clone, tmp_path, "pull_request", GITHUB_BASE_REF="main"))
    assert words == f"the clone is shallow and lacks commit {onto[:10]}; give actions/checkout `fetch-depth: 2`"


def shallow(origin: Path, temporary: Path) -> Path:
    """Clone as actions/checkout does: the one commit, detached."""
    git(origin, "branch", "--force", "merge")
    git(temporary, "clone", "--quiet", "--depth=1", "--branch", "merge", f"file://{origin}", "shallow")
    return temporary / "shallow"


def test_without_a_snapshot_at_the_base_a_notice_says_how_to_write_one(tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    onto, _ = pull_request(folder, base={"other_txt": "x"}, change=NEW)
    words = notice(base(folder, tmp_path, "pull_request", GITHUB_BASE_REF="main"))
    assert words == f"{FILE} is not committed at {onto[:10]}; `archcheck snapshot` writes it"


def test_the_first_commit_has_no_base(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    commit(tmp_path, **NEW)
    assert notice(base(tmp_path, tmp_path, "push")) == "this commit has no parent"


def test_outside_of_a_repository_there_is_no_base(tmp_path: Path) -> None:
    environment = {"GIT_CEILING_DIRECTORIES": str(tmp_path.parent), "GITHUB_EVENT_NAME": "push"}
    run = run_action(tmp_path, tmp_path, {}, only="Read the base", **environment)
    assert (run.code, notice(run)) == (0, "this is no clone of a repository with commits")


def test_who_wants_no_comparison_gets_none(merged: Path, tmp_path: Path) -> None:
    run = base(merged, tmp_path, "pull_request", inputs={"snapshot": ""}, GITHUB_BASE_REF="main")
    assert (run.logs["Read the base"], run.steps["base"]) == ("", {})


def test_nothing_of_the_base_is_run(merged: Path, tmp_path: Path) -> None:
    """Neither its hooks nor its filters: git is asked for the bytes of one file."""
    hook = merged / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\n")
    hook.chmod(0o755)
    base(merged, tmp_path, "pull_request", GITHUB_BASE_REF="main")
    assert not (tmp_path / "ran").exists()
