"""`claim` and `no-unproven-numbers`: numbers in JSON, YAML, TOML and safetensors, held to facts, files and logs."""

from __future__ import annotations

import json
import struct
from dataclasses import replace

import pytest
import torch
from torch import nn

from archcheck.contract import Stated, load
from archcheck.facts.artifact_files import Artifacts, FileSize
from archcheck.foundation.errors import ContractError
from archcheck.foundation.source_place import Where
from archcheck.foundation.text_files import Text, Texts, read_text
from archcheck.judging.engine import judge, measure
from archcheck.rules import Beats, Claim, NoUnprovenNumbers

FACTS = measure(nn.Linear(3, 4), example=torch.zeros(1, 3))
"""16 parameters, 64 bytes, 12 multiply-accumulates."""
CARD = """---
license: mit
model-index:
  - name: net
    results:
      - metrics:
          - {type: parameters, value: 16}
          - type: bytes
            value: "64 B"
---
# Net of 17 parameters
"""
LOG = "step 1 val_loss: 1.3100\nstep 2 val_loss: 1.2276\nstep 3 val_loss: 1.2300\n"


def outcome(rule, files, *, beside=(), artifacts=None):
    texts = {name: Text(shown=name, content=each if isinstance(each, str) else json.dumps(each, indent=1))
             for name, each in files.items()}  # fmt: skip
    proven = tuple(each for other in beside for each in other.proves)
    known = {name: FileSize(shown=name, bytes=size, stored=size) for name, size in (artifacts or {}).items()}
    sizes = {each: (known[each.pattern],) for each in rule.artifacts}
    facts = replace(FACTS, texts=Texts(files=texts, proven=proven, limit=20.0), artifacts=Artifacts(sizes=sizes))
    return judge(facts, [Stated(rule=rule, instance="claim", where=Where(file="", line=0))])[0]


def told(rule, files, **more):
    found = outcome(rule, files, **more)
    assert found.verdict in ("broken", "error"), found
    return found.verdict.value, found.findings[0].message, str(found.findings[0].where)


def claim(file="entry.json", pointer="/params", fact="params.total", **more):
    return Claim(
        file=file, pointer=pointer, **({"fact": fact} if not {"proof", "bytes_of"} & set(more) else {}), **more
    )


@pytest.mark.parametrize(
    ("file", "pointer", "content"),
    [
        ("a.json", "/params", '{"params": 16}'), ("a.json", "/params", '{"params": "16 params"}'),
        ("a.json", "/params", '\ufeff{"params": 16.0}'), ("a.json", "/params", '{"x": NaN, "params": 1.6e1}'),
        ("a.json", "", "16"), ("a.json", "/0/a~1b/~0c", '[{"a/b": {"~c": 16}}]'),
        ("a.json", "/a b", '{"a b": "0.016k"}'),
        ("a.json", "/ü\\\"", '{"\\u00fc\\\\\\"": 16}'), ("a.json", "/*/n", '[{"n": 16, "m": 3}, {"n": 16}]'),
        ("a.jsonl", "/1/n", '{"n": 3}\n\n{"n": 16}\n'), ("a.yaml", "/a/1", "a:\n- 3\n- 16 # so many\n"),
        ("a.yml", "/a/b", "a: &x {b: 16}\nc: *x\n"), ("a.yaml", "/c/b", "a: &x {b: 16}\nc: *x\n"),
        ("a.toml", "/net/params", "[net]\nparams = 16\n"),
        ("a.toml", "/net/1/params", "[[net]]\n[[net]]\nparams = '16'\n"),
        ("README.md", "/model-index/0/results/0/metrics/0/value", CARD), ("submission", "/params", ' {"params": 16}'),
        ("README.md", "/n", "---\r\nn: 16\r\n---\r\ntext"),
        ("a.safetensors", "/__metadata__/n", '{"__metadata__": {"n": "16"}}'),
    ],
)  # fmt: skip
def test_a_pointer_finds_a_number_in_every_format(file, pointer, content):
    assert outcome(claim(file, pointer), {file: content}).verdict == "kept"
    wrong = content.replace("16", "17").replace("1.6e1", "1.7e1")
    assert told(claim(file, pointer), {file: wrong})[0] == "broken"


@pytest.mark.parametrize(
    ("file", "pointer", "content", "line"),
    [
        ("a.json", "/b/params", '{"params": 16,\n "b": [],\n "b": {\n  "params": 17}}', 4),
        ("a.json", "/params", '{"text": "\\n, \\"params\\": {",\n\n"params": 17}', 3),
        ("a.jsonl", "/1/params", '{"a": 3}\n{"params": 17}\n', 2),
        ("a.yaml", "/a/params", "params: 16\na:\n  x: |\n    params: 16\n\n  params: 17\n", 6),
        ("a.toml", "/b/params", "params = 16\n[a]\nparams = 16\n[b]\nx = 1\nparams = 17\n", 6),
        ("a.toml", "/b/1/params", "[[b]]\nparams = 16\n[[b]]\nparams = 17\n", 4),
        ("README.md", "/params", "---\nx: 16\nparams: 17\n---\nparams: 16\n", 3),
    ],
)
def test_the_finding_stands_where_the_value_stands(file, pointer, content, line):
    assert told(claim(file, pointer), {file: content}) == (
        "broken", f"{file} says 17 at {pointer}, and params.total is 16", f"{file}:{line}"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("written", "fact", "holds"),
    [
        ("64", "params.bytes", True), ('"64 B"', "params.bytes", True), ('"0.06 KiB"', "params.bytes", True),
        ('"0.07 KiB"', "params.bytes", False), ("12", "cost.macs", True), ('"12 MACs"', "cost.macs", True),
        ("1.2e1", "cost.macs", True), ("1e1", "cost.macs", True), ("2e1", "cost.macs", False),
        ("-12", "cost.macs", False),
        ("true", "cost.macs", False), ("null", "cost.macs", False), ('"twelve"', "cost.macs", False),
        ("12.000000000000002", "cost.macs", True), ("12.00001", "cost.macs", False), ("1e999", "cost.macs", False),
    ],
)  # fmt: skip
def test_numbers_are_read_as_they_are_written(written, fact, holds):
    found = outcome(claim(fact=fact), {"entry.json": f'{{"params": {written}}}'})
    assert (found.verdict == "kept") is holds
    assert found.verdict in ("kept", "broken")


def test_a_pointer_that_leads_nowhere_or_to_several_values():
    entry = {"model": {"parms": 16, "list": [1, 2]}}
    nowhere = told(claim(pointer="/model/params"), {"entry.json": entry})
    assert nowhere[:2] == ("broken", 'entry.json has nothing at "/model/params"; did you mean "/model/parms"?')
    several = told(claim(pointer="/model/list"), {"entry.json": entry})
    assert several[:2] == (
        "error", 'entry.json holds several values at "/model/list"; name one of them, such as "/model/list/0", or all '
        "of them by a step `*`",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("a.json", '{"params": 16', "a.json is damaged: not JSON at line 1"),
        ("a.jsonl", '{"params": 16}\n{"par', "a.jsonl is damaged: line 2 is not JSON"),
        ("a.yaml", "a: [1\nb: 2", "a.yaml is damaged: not YAML at line 2"),
        ("a.toml", "params = ", "a.toml is damaged: not TOML"),
        ("a.md", "# No card\n", "a.md has no front matter"),
        ("a.md", "---\nn: 16\n", "a.md has no front matter"),
        ("a.txt", "params: 16", "a.txt is none of the documents that pointers lead into"),
        ("a.json", "[" * 500 + "]" * 500, "a.json is nested too deeply to be read"),
        ("a.yaml", "[" * 500 + "]" * 500, "a.yaml is nested too deeply to be read"),
        ("a.yaml", "a: &a [*a]", "a.yaml is nested too deeply to be read"),
    ],
)
def test_a_damaged_document_is_an_error_with_its_name(file, content, says):
    verdict, message, _ = told(claim(file), {file: content})
    assert verdict == "error"
    assert message.startswith(says), message


def test_references_that_repeat_without_end_come_to_an_end():
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert told(claim("a.yaml"), {"a.yaml": "\n".join(lines)})[1].startswith("a.yaml holds more than 1,000,000 values")


@pytest.mark.parametrize(
    ("stated", "take", "verdict", "says"),
    [
        (1.2276, "min", "kept", ""), (1.23, "last", "kept", ""), (1.2, "last", "kept", ""), (1.31, "first", "kept", ""),
        (1.31, "max", "kept", ""), (1.2559, "mean", "kept", ""), (3.7676, "sum", "kept", ""),
        (1.23001, "last", "kept", ""),
        (1.2140, "min", "broken", "entry.json says 1.214 at /params, and train.log:2 says 1.2276"),
        (1.25, "last", "broken", "entry.json says 1.25 at /params, and train.log:3 says 1.2300"),
        (1.25, "mean", "broken", "and the mean of 3 numbers in train.log is 1.25586667"),
        (1.25, None, "error", "3 numbers in train.log may prove this, from 1.3100 to 1.2300"),
    ],
)  # fmt: skip
def test_a_number_in_a_log_proves_a_claim(stated, take, verdict, says):
    proof = {"file": "train.log", "pattern": r"val_loss: ([\d.]+)", **({"take": take} if take else {})}
    found = outcome(claim(proof=proof), {"entry.json": {"params": stated}, "train.log": LOG})
    assert found.verdict == verdict
    assert says in found.summary


@pytest.mark.parametrize(
    ("stated", "proven", "holds"),
    [
        ("99.53", "0.9953", True), ('"99.53 %"', "99.53", True), ("0.9953", "99.53", True), ('"99.5%"', "0.9953", True),
        ("99.43", "0.9953", False), ("1.2e7", "12000000", True), ('"15.9 MB"', "15912345", True), ("1", "1.2", True),
        ('"15.8 MB"', "15912345", False), ("2.0", "1.2", False), ("1.2276", "1.228", True), ("1.2276", "1.227", False),
        ("-0.5", "-0.5", True), ("0.5", "-0.5", False), ("0.99", '"bad"', None), ("120", "1.2", False),
    ],
)  # fmt: skip
def test_both_sides_may_be_rounded_and_in_percent(stated, proven, holds):
    rule = claim(proof={"file": "b.json", "pointer": "/runs/*/x", "take": "mean"})
    files = {"entry.json": f'{{"params": {stated}}}', "b.json": f'{{"runs": {{"s1": {{"x": {proven}, "y": 3}}}}}}'}
    assert outcome(rule, files).verdict == {True: "kept", False: "broken", None: "error"}[holds]


def test_a_log_without_the_number_proves_nothing():
    rule = claim(proof={"file": "train.log", "pattern": r"test_loss: ([\d.]+)"})
    verdict, message, where = told(rule, {"entry.json": {"params": 1.2}, "train.log": LOG})
    assert (verdict, where) == ("broken", "entry.json:2")
    assert message == 'entry.json says 1.2 at /params, and nothing in train.log matches "test_loss: ([\\\\d.]+)"'


def test_the_sizes_of_files_prove_a_claim():
    rule = claim(bytes_of=("train.py", "model.pt"))
    sizes = {"train.py": 1_000, "model.pt": 15_000_000}
    assert outcome(rule, {"entry.json": {"params": 15_001_000}}, artifacts=sizes).verdict == "kept"
    assert outcome(rule, {"entry.json": {"params": "15.0 MB"}}, artifacts=sizes).verdict == "kept"
    broken = told(rule, {"entry.json": {"params": 15_000_000}}, artifacts=sizes)
    assert broken[1] == ('entry.json says 15000000 at /params, and "train.py" and "model.pt" take 15,001,000 bytes')


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ("pointer = '/a', pattern = '(.)', fact = 'params.total'", "give either `pattern`"),
        ("fact = 'params.total'", "give either `pattern`"),
        ("pointer = 'a', fact = 'params.total'", '`pointer` is a JSON pointer, such as "/params", found "a"'),
        ("pointer = '/a~b', fact = 'params.total'", "`pointer` writes a `~` in a key as `~0`"),
        ("pointer = '/a', fact = 'params.total', bytes-of = 'x'", "give one of `fact`, `bytes-of` and `proof`"),
        ("pointer = '/a', proof = { pattern = '(.)' }", "`proof` names the `file`"),
        ("pointer = '/a', proof = { file = 'x' }", "of `proof`, give either `pattern`"),
        ("pointer = '/a', proof = { file = 'x', pattern = '.' }", "of `proof`, `pattern` needs one group"),
        ("pointer = '/a', proof = { file = 'x', patern = '(.)' }", 'not a key of `proof`; did you mean "pattern"?'),
        ("pointer = '/a', proof = { file = 'x', pattern = '(.)', take = 'median' }", "`take` is one of"),
        ("pointer = '/a', proof = { file = 'x', pattern = 3 }", '"pattern" of "proof" must be a string, found 3'),
        ("pointer = '/a', proof = { file = './a.json', pointer = '/a' }", "`proof` leads to the claimed number itself"),
        ("pattern = '(.)', proof = { file = 'a.json', pattern = '(.)' }", "`proof` leads to the claimed number itself"),
        ("pointer = '/a', bytes-of = [' ']", "`bytes-of` is a list of files"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields, says, tmp_path):
    (tmp_path / "archcheck.toml").write_text(
        '[subjects.net]\nmodel = "m.py"\n[subjects.net.rules]\nclaim = { file = "a.json", ' + fields + " }\n"
    )
    with pytest.raises(ContractError) as caught:
        load(tmp_path / "archcheck.toml")
    (problem,) = caught.value.problems
    assert says in problem.message
    assert problem.line == 4


# --- documents whose numbers are all proven ---------------------------------------------------------------------------

ENTRY = {"params": 16, "loss": "1.23", "seed": 7, "date": "2026-11-30", "author": "x", "ok": True, "runs": [{"a": 1}]}


def unproven(files="entry.json", *ignore):
    return NoUnprovenNumbers(files=(files,), ignore=ignore)


def test_each_number_is_traced_or_flagged():
    beside = [claim(), Claim(file="entry.json", pattern=r'"seed": (\d+)', fact="params.total")]
    found = outcome(unproven("entry.json", "/runs"), {"entry.json": ENTRY}, beside=beside)
    assert [(each.message, str(each.where)) for each in found.findings] == [
        ("nothing proves that entry.json says 1.23 at /loss", "entry.json:3")
    ]
    assert found.findings[0].fix == (
        'state what proves it, `claim = { file = "entry.json", pointer = "/loss", fact = … }`, '
        'or add "/loss" to `ignore`'
    )
    log = claim(pointer="/loss", proof={"file": "train.log", "pattern": "(.)"})
    kept = outcome(unproven("entry.json", "/runs"), {"entry.json": ENTRY}, beside=[*beside, log])
    assert (kept.verdict, kept.kept) == (
        "kept", "3 numbers in entry.json: /params by params.total, /loss by train.log, /seed by params.total"
    )  # fmt: skip


def test_claims_of_other_files_prove_nothing_and_ignored_ones_need_no_proof():
    beside = [claim("other.json"), claim(pointer="/param")]
    found = outcome(unproven(), {"entry.json": ENTRY}, beside=beside)
    assert [each.message.rpartition(" ")[2] for each in found.findings] == ["/params", "/loss", "/seed", "/runs/0/a"]
    assert outcome(unproven("entry.json", ""), {"entry.json": ENTRY}).verdict == "vacuous"
    assert (
        outcome(unproven("entry.json", "/params", "/loss", "/seed", "/*/*/a"), {"entry.json": ENTRY}).verdict
        == "vacuous"
    )


@pytest.mark.parametrize(
    ("options", "runs", "flagged"),
    [
        ({"metric": "loss"}, [{"loss": 1, "acc": 2}, {"loss": 3, "acc": 4}], ["/runs/0/acc", "/runs/1/acc"]),
        ({"metric": "val.loss"}, [{"val": {"loss": 1, "acc": 2}}], ["/runs/0/val/acc"]),
        ({}, [1.5, 2.5], []),
        ({}, [{"test": {"correct": 1, "total": 2}, "params": 7}], ["/runs/0/params"]),
    ],
)
def test_a_comparison_of_runs_proves_the_numbers_that_it_compares(options, runs, flagged):
    beside = [Beats(record="old.json", own="entry.json", **options)]
    found = outcome(unproven("entry.json"), {"entry.json": {"runs": runs}}, beside=beside)
    assert [each.message.rpartition(" ")[2] for each in found.findings] == flagged


def test_of_a_model_card_and_of_tensors_only_what_is_claimed_counts():
    card = outcome(unproven("README.md"), {"README.md": CARD})
    assert [str(each.where) for each in card.findings] == ["README.md:7", "README.md:9"]
    header = {"__metadata__": {"n": "16"}, "w": {"dtype": "F32", "shape": [4, 3], "data_offsets": [0, 48]}}
    tensors = outcome(unproven("a.safetensors"), {"a.safetensors": header})
    assert [each.message for each in tensors.findings] == [
        "nothing proves that a.safetensors says 16 at /__metadata__/n"
    ]
    assert outcome(unproven("a.txt"), {"a.txt": "16"}).verdict == "error"


# --- files ------------------------------------------------------------------------------------------------------------


def test_of_a_safetensors_file_only_the_header_is_read(tmp_path):
    header = b'{"__metadata__": {"total_parameters": "16"}}'
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\xff" * 1_000)
    assert read_text(tmp_path / "a.safetensors", "a.safetensors").content == header.decode()
    for damaged in (b"", b"\x00", b"\xff" * 20, struct.pack("<Q", 50) + b"{}", struct.pack("<Q", 2) + b"PK"):
        (tmp_path / "a.safetensors").write_bytes(damaged)
        problem = read_text(tmp_path / "a.safetensors", "a.safetensors").problem
        assert problem is not None
        assert "a.safetensors cannot be read: it is not a safetensors file" in problem


def test_the_command_line_traces_an_entry_and_finds_what_the_log_contradicts(tmp_path, archcheck):
    (tmp_path / "model.py").write_text(
        "from torch import nn\n\n\nclass Net(nn.Linear):\n    def __init__(self):\n        super().__init__(3, 4)\n"
    )
    (tmp_path / "entry.json").write_text('{\n "params": "16",\n "bytes": 9,\n "val_loss": 1.214,\n "seed": 3\n}\n')
    (tmp_path / "train.log").write_text(LOG)
    (tmp_path / "model.bin").write_bytes(bytes(9))
    (tmp_path / "archcheck.toml").write_text(
        """[subjects.net]
model = "model.py:Net"
input = [1, 3]
[subjects.net.rules]
claim = [
  { file = "entry.json", pointer = "/params", fact = "params.total" },
  { file = "entry.json", pointer = "/bytes", bytes-of = "model.bin" },
  { file = "entry.json", pointer = "/val_loss", proof = { file = "train.log", pattern = 'loss: (.+)', take = "min" } },
]
no-unproven-numbers = "entry.json"
"""
    )
    done = archcheck("check", "--format", "concise", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.splitlines()[:4] == [
        "model.py:4: kept claim-1 net: entry.json says 16 at /params: params.total is 16",
        'model.py:4: kept claim-2 net: entry.json says 9 at /bytes: "model.bin" takes 9 bytes',
        "entry.json:4: broken claim-3 net: entry.json says 1.214 at /val_loss, and train.log:2 says 1.2276",
        "entry.json:5: broken no-unproven-numbers net: nothing proves that entry.json says 3 at /seed",
    ]
