import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.action.workflow import ACTION, ROOT, WORKFLOWS, read, tool
from tests.pages.page_blocks import the_block

FILES = [ACTION, *sorted(WORKFLOWS.glob("*.y*ml"))]


def steps(file: Path) -> list[dict[str, Any]]:
    document = read(file)
    if file == ACTION:
        return list(document["runs"]["steps"])
    return [step for job in document["jobs"].values() for step in job.get("steps", ())]


def jobs(file: Path) -> list[dict[str, Any]]:
    return list(read(file).get("jobs", {}).values())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_scripts_take_values_from_the_environment_only(file: Path) -> None:
    assert not [step["run"] for step in steps(file) if "${{" in step.get("run", "")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_actions_of_others_are_pinned_by_digest_and_name_their_version(file: Path) -> None:
    used = [
        line.partition("uses:")[2].strip() for line in file.read_text().splitlines() if re.match(r"[\s-]*uses:", line)
    ]
    assert len(used) == sum("uses" in each for each in [*steps(file), *jobs(file)])
    for name in used:
        assert re.fullmatch(r"\./\S+|[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", name)


def test_one_version_of_an_action_has_one_digest_everywhere() -> None:
    """Also in the manual, whose example people copy, and in what `archcheck init --ci` writes."""
    package = ROOT / "archcheck"
    written = (package / "pages" / "pull-requests.md", package / "integrations" / "repository" / "archcheck.yml")
    texts = [file.read_text() for file in (*FILES, *written)]
    pins = {match for text in texts for match in re.findall(r"([\w.-]+/[\w./-]+)@([0-9a-f]{40}) # (\S+)", text)}
    assert len(pins) == len({name for name, *_ in pins}) == len({digest for _, digest, _ in pins})


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_file_is_what_the_schema_of_its_kind_asks_for(file: Path) -> None:
    kind = "actions" if file == ACTION else "workflows"
    assert tool("check-jsonschema", "--builtin-schema", f"vendor.github-{kind}", file) == ""


def test_the_schemas_find_faults(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yml"
    file.write_text("on: push\njobs: {a: {runs-on: x, steps: [{uses: 1}]}}\n")
    for kind in ("actions", "workflows"):
        assert "wrong.yml" in tool("check-jsonschema", "--builtin-schema", f"vendor.github-{kind}", file)


def test_no_audit_of_zizmor_finds_anything() -> None:
    """Offline: what needs the network is left out. `.github/zizmor.yml` says which audit is not wanted, and why."""
    assert tool("zizmor", "--offline", "--no-progress", "--color=never", ROOT / ".github") == ""


def test_zizmor_would_find_what_it_is_for(tmp_path: Path) -> None:
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "x.yml").write_text(
        "on: pull_request_target\njobs: {a: {runs-on: x, steps: [{run: 'echo ${{ github.head_ref }}'}]}}\n"
    )
    assert "template-injection" in tool("zizmor", "--offline", "--no-progress", "--color=never", tmp_path)


@pytest.mark.parametrize("file", FILES[1:], ids=lambda file: file.stem)
def test_workflows_may_read_and_only_the_publishing_may_say_who_it_is(file: Path) -> None:
    document = read(file)
    assert document["permissions"] == {"contents": "read"}
    more = {name: job["permissions"] for name, job in document["jobs"].items() if "permissions" in job}
    assert more == ({"publish": {"id-token": "write"}} if file.stem == "release" else {})


def test_what_publishes_runs_no_code_of_the_repository_and_waits_for_the_environment() -> None:
    build, publish = (read(WORKFLOWS / "release.yml")["jobs"][name] for name in ("build", "publish"))
    assert (publish["environment"], publish["needs"]) == ("release", "build")
    assert [step["uses"].partition("@")[0] for step in publish["steps"]] == [
        "actions/download-artifact",
        "pypa/gh-action-pypi-publish",
    ]
    assert publish["steps"][-1]["with"] == {"attestations": True}  # nor a password: a trusted publisher needs none
    written, read_back = build["steps"][-1]["with"], publish["steps"][0]["with"]
    assert {name: written[name] for name in ("name", "path")} == read_back
    assert read(WORKFLOWS / "release.yml")[True] == {"push": {"tags": ["v*"]}}  # YAML 1.1 takes `on` for true


def test_the_oldest_and_the_newest_releases_are_tried() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (oldest,) = re.findall(r"torch>=([\d.]+)", " ".join(project["dependencies"]))
    pythons = [match for each in project["classifiers"] for match in re.findall(r":: (3\.\d+)$", each)]
    tried = read(WORKFLOWS / "ci.yml")["jobs"]["releases"]["strategy"]["matrix"]["include"]
    found = {(each["os"].partition("-")[0], each["python"], each["torch"]) for each in tried}
    assert f">={pythons[0]}" == project["requires-python"]
    assert {("ubuntu", pythons[0], f"=={oldest}.*"), ("ubuntu", pythons[-1], f">={oldest}")} <= found
    assert ("macos", pythons[-1], f">={oldest}") in found


def test_the_actions_and_scripts_of_this_repository_exist() -> None:
    used = [step.get("uses", "") for file in FILES for step in steps(file)]
    for name in filter(lambda name: name.startswith("./"), used):
        assert (ROOT / name / "action.yml").is_file()
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_every_input_is_one_that_the_action_has() -> None:
    inputs = set(read(ACTION)["inputs"])
    for step in steps(WORKFLOWS / "model_check.yml"):
        if step.get("uses", "").endswith("actions/archcheck"):
            assert set(step["with"]) <= inputs
            break
    else:
        pytest.fail("the action is not used")


def test_the_example_for_another_repository_is_a_workflow(tmp_path: Path) -> None:
    """The block of the manual that uses the action from elsewhere is valid, as safe, and gives what there is."""
    block = the_block("yaml", "OWNER/REPO/.github/actions/archcheck@REF").text
    file = tmp_path / ".github" / "workflows" / "model_check.yml"
    file.parent.mkdir(parents=True)
    file.write_text(block.replace("OWNER/REPO/", "some/where/").replace("@REF", f"@{'0123456789' * 4}"))
    assert tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", file) == ""
    assert tool("zizmor", "--offline", "--no-progress", "--color=never", tmp_path) == ""
    used = steps(file)[-1]
    assert used["uses"].startswith("some/where/.github/actions/archcheck@")
    assert (ROOT / ".github" / "actions" / "archcheck" / "action.yml").is_file()
    assert set(used["with"]) <= set(read(ACTION)["inputs"])


HELD = [
    file.relative_to(ROOT).as_posix()
    for file in (ROOT / "archcheck").rglob("*")
    if file.is_file() and "__pycache__" not in file.parts
]
"""What a whole wheel holds of archcheck."""


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ([*HELD, "archcheck_torch-1.dist-info/METADATA"], 0),
        ([*HELD, "reference_models/x.py"], 1),
        ([name for name in HELD if name != "archcheck/py.typed"], 1),
        ([name for name in HELD if name != "archcheck/render/html/page.html.jinja"], 1),
    ],
)
def test_the_wheel_is_looked_into(tmp_path: Path, names: list[str], code: int) -> None:
    path = tmp_path / "x-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name in names:
            wheel.writestr(name, "")
    look = ROOT / ".ci" / "wheel.py"
    assert subprocess.run([sys.executable, look, path], check=False).returncode == code
