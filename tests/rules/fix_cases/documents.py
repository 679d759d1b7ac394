"""Fixes of rules about texts and files beside the contract, and of waivers and selectors in it."""

from __future__ import annotations

from tests.support.fix_trials import Case, Installed

README = "README.md"
CLAIM = 'claim = { file = "README.md", pattern = \'([\\d,.]+k?) parameters\', fact = "params.total" }'
BY_PLACE = 'claim = { file = "entry.json", pointer = "/params", fact = "params.total" }'
MACS = 'claim = { file = "entry.json", pointer = "/macs", fact = "cost.macs" }'
FROM_LOG = 'claim = { file = "entry.json", pointer = "/loss", proof = { file = "log", pattern = \'^loss (.+)$\' } }'
THAT_FILE = "write that file, or change what the contract names"
DOCUMENT = "mend the file, or change `files` of no-unproven-numbers"
STATE = 'state what proves it, `claim = { file = "entry.json", pointer = "/params", fact = … }`'
PROVE = f'{STATE}, or add "/params" to `ignore`'
OPENED = "It has <!-- archcheck: net params.total -->"
CLOSED = "<!-- /archcheck -->"
WAIVED = '[[subjects.net.waivers]]\nrule = "max-params"\nreason = "for now"\n'
AT = "the waiver at archcheck.toml:7"


def _waiver(more: str, rule: str = "max-params") -> str:
    return f'[[subjects.net.waivers]]\nrule = "{rule}"\nreason = "for now"\n{more}\n'


CASES = [
    Case(
        rule=CLAIM,
        files={README: "It has 15 parameters."},
        fix="write 16, or mend the model",
        edits={"write 16": ("has 15", "has 16"), "mend the model": ("nn.Linear(3, 4)", "nn.Linear(3, 5, bias=False)")},
    ),
    Case(
        rule='claim = { file = "README.md", pattern = \'dropout of ([\\d.]+)\', fact = "dropout" }',
        files={README: "It has a dropout of 0.1."},
        fix="take 0.1 away, or mend the model",
        edits={
            "take 0.1 away": [("a dropout of 0.1", "none"), ("fact =", "allow-empty = true, fact =")],
            "mend the model": ("nn.Linear(3, 4)", "nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.1))"),
        },
    ),
    Case(
        rule=FROM_LOG,
        files={"entry.json": '{"loss": 1.21}', "log": "loss 1.23"},
        fix="write 1.23, or mend what proves it",
        edits={"write 1.23": ('"loss": 1.21', '"loss": 1.23'), "mend what proves it": ("loss 1.23", "loss 1.21")},
    ),
    Case(
        rule=FROM_LOG,
        files={"entry.json": '{"loss": 1.21}', "log": "nothing yet"},
        fix="take 1.21 away, or mend what proves it",
        edits={
            "take 1.21 away": [('"loss": 1.21', ""), ("proof =", "allow-empty = true, proof =")],
            "mend what proves it": ("nothing yet", "loss 1.21"),
        },
    ),
    Case(
        rule='claim = { file = "README.md", pattern = \'has (.+) parameters\', fact = "params.total" }',
        files={README: "It has exactly 16 parameters."},
        fix="let the group of `pattern` catch the number that stands there, or write 16",
        edits={
            "let the group of `pattern` catch the number that stands there": ("has (.+)", "has exactly (.+)"),
            "write 16": ("exactly 16", "16"),
        },
    ),
    Case(
        rule=FROM_LOG.replace("entry.json", "README.md").replace('pointer = "/loss"', "pattern = 'loss of (.+) nats'"),
        files={README: "A loss of about 1.21 nats.", "log": "nothing yet"},
        fix="let the group of `pattern` catch the number that stands there",
        edits={
            "let the group of `pattern` catch the number that stands there": [
                ("loss of (.+) nats", "loss of about (.+) nats"),
                ("nothing yet", "loss 1.21"),
            ]
        },
    ),
    Case(
        rule=BY_PLACE,
        files={"entry.json": '{"params": "about 16", "count": 16}'},
        fix="lead `pointer` to the number that stands there, or write 16",
        edits={
            "lead `pointer` to the number that stands there": ("/params", "/count"),
            "write 16": ('"about 16"', "16"),
        },
    ),
    Case(
        rule=FROM_LOG,
        files={"entry.json": '{"loss": "about 1.21", "exact": 1.21}', "log": "nothing yet"},
        fix="lead `pointer` to the number that stands there",
        edits={"lead `pointer` to the number that stands there": [("/loss", "/exact"), ("nothing yet", "loss 1.21")]},
    ),
    Case(
        rule=CLAIM,
        files={README: "It has 16 weights."},
        fix="write the figure there, or change the pattern of claim",
        edits={
            "write the figure there": ("16 weights", "16 parameters"),
            "change the pattern of claim": ("k?) parameters", "k?) weights"),
        },
    ),
    Case(
        rule=BY_PLACE,
        files={"entry.json": '{"size": 16}'},
        fix="write the figure there, or change the pointer of claim",
        edits={
            "write the figure there": ('"size": 16', '"params": 16'),
            "change the pointer of claim": ("/params", "/size"),
        },
    ),
    Case(
        rule=BY_PLACE,
        files={"entry.json": '{"params": 16'},
        fix="mend the file, or what the rule says of it",
        edits={
            "mend the file": ('{"params": 16', '{"params": 16}'),
            "what the rule says of it": ('pointer = "/params"', "pattern = '\"params\": (.+)'"),
        },
    ),
    Case(
        rule=FROM_LOG,
        files={"entry.json": '{"loss": 1.21}', "log": "loss n/a"},
        fix="mend that file, or what `proof` says of it",
        edits={
            "mend that file": ("loss n/a", "loss 1.21"),
            "what `proof` says of it": [("'^loss (.+)$'", "'^test (.+)$'"), ("loss n/a", "loss n/a\ntest 1.21")],
        },
    ),
    Case(
        rule=FROM_LOG,
        files={"entry.json": '{"loss": 1.21}', "log": "loss 1.31\nloss 1.21"},
        fix='say which of them counts: `take` is one of "last", "first", "min", "max", "mean" and "sum"',
        edits={
            'say which of them counts: `take` is one of "last"': ("(.+)$'", '(.+)$\', take = "last"'),
            '"min"': ("(.+)$'", '(.+)$\', take = "min"'),
            '"first"': [("(.+)$'", '(.+)$\', take = "first"'), ("loss 1.31\nloss 1.21", "loss 1.21\nloss 1.31")],
            '"max"': [("(.+)$'", '(.+)$\', take = "max"'), ('"loss": 1.21', '"loss": 1.31')],
            '"mean"': [("(.+)$'", '(.+)$\', take = "mean"'), ('"loss": 1.21', '"loss": 1.26')],
            '"sum"': [("(.+)$'", '(.+)$\', take = "sum"'), ('"loss": 1.21', '"loss": 2.52')],
        },
    ),
    Case(
        rule='claim = { file = "README.md", pattern = \'(?:\\w+ ?)+: (\\d+)\', fact = "params.total" }',
        subject="timeout = 0.2",
        files={README: f"parameters: 16\n{'a' * 22}"},
        fix="write it so that no repetition stands within another, or raise `timeout`",
        edits={
            "write it so that no repetition stands within another": ("(?:\\w+ ?)+: ", "\\w+: "),
            "raise `timeout`": ("timeout = 0.2", "timeout = 60"),
        },
    ),
    Case(
        rule=CLAIM,
        fix=THAT_FILE,
        edits={
            "write that file": ("+README.md", "It has 16 parameters."),
            "change what the contract names": [('"README.md"', '"TEXT.md"'), ("+TEXT.md", "It has 16 parameters.")],
        },
    ),
    Case(
        rule='max-artifact-bytes = { limit = 8, files = ["model.bin"] }',
        fix=THAT_FILE,
        edits={
            "write that file": ("+model.bin", "1234"),
            "change what the contract names": [('"model.bin"', '"*.bin"'), ("+other.bin", "1234")],
        },
    ),
    Case(
        rule='max-artifact-bytes = { limit = 100, files = ["model.bin"], codec = "zstd" }',
        files={"model.bin": "1234"},
        lacks=("zstandard",),
        fix="install it: `pip install zstandard`, or choose another `codec`",
        edits={
            "install it: `pip install zstandard`": Installed("zstandard"),
            "choose another `codec`": ('"zstd"', '"zlib"'),
        },
    ),
    Case(
        rule='max-artifact-bytes = { limit = 100, files = ["model.bin"], codec = "bz2" }',
        files={"model.bin": "1234"},
        lacks=("bz2",),
        fix="take a Python that has it, or choose another `codec`",
        edits={"take a Python that has it": Installed("bz2"), "choose another `codec`": ('"bz2"', '"zlib"')},
    ),
    Case(
        rule='no-unproven-numbers = { files = ["entry.json"] }\n' + MACS,
        files={"entry.json": '{"params": 16, "macs": 12}'},
        fix=PROVE,
        edits={
            STATE: (
                MACS,
                f"claim = [{MACS.removeprefix('claim = ')}, {BY_PLACE.removeprefix('claim = ')}]",
            ),
            'add "/params" to `ignore`': ('["entry.json"]', '["entry.json"], ignore = ["/params"]'),
        },
    ),
    Case(
        rule='no-unproven-numbers = { files = ["entry.json"], ignore = ["/seed"], allow-empty = true }',
        files={"entry.json": '{"seed": 16', "other.json": "{}"},
        fix=DOCUMENT,
        edits={
            "mend the file": ('{"seed": 16', '{"seed": 16}'),
            "change `files` of no-unproven-numbers": ('["entry.json"]', '["other.json"]'),
        },
    ),
    Case(
        rule='synced = "README.md"',
        files={README: f"{OPENED}100{CLOSED} parameters."},
        fix="`archcheck sync README.md` updates it",
        edits={"`archcheck sync README.md` updates it": "archcheck sync README.md"},
    ),
    Case(
        rule='synced = "README.md"',
        files={README: f"It has <!-- archcheck: net params.totl -->16{CLOSED} parameters."},
        fix="name a figure there that is one",
        edits={"name a figure there that is one": ("totl", "total")},
    ),
    Case(
        rule='synced = "README.md"',
        files={README: f"It has <!-- archcheck: nett params.total -->16{CLOSED} parameters."},
        fix="name a subject of the contract",
        edits={"name a subject of the contract": ("nett", "net")},
    ),
    Case(
        rule='synced = "README.md"',
        files={README: f"{OPENED}16 parameters."},
        fix="put <!-- /archcheck --> behind what it holds",
        edits={"put <!-- /archcheck --> behind what it holds": ("16 parameters", f"16{CLOSED} parameters")},
    ),
    Case(
        rule='synced = { files = ["README.md"], allow-empty = true }',
        files={README: f"It has 16{CLOSED} parameters."},
        fix="take it away, or put <!-- archcheck: SUBJECT --> ahead of it",
        edits={
            "take it away": (CLOSED, ""),
            "put <!-- archcheck: SUBJECT --> ahead of it": ("16<!--", "<!-- archcheck: net params.total -->16<!--"),
        },
    ),
    Case(
        rule='max-params = { limit = 100, on = "stem" }',
        fix="mend `on`, or give the rule `allow-empty = true`",
        edits={
            "mend `on`": ('"stem"', '"linear"'),
            "give the rule `allow-empty = true`": ('"stem"', '"stem", allow-empty = true'),
        },
    ),
    Case(
        rule="max-params = 10",
        subject=_waiver("up-to = 15"),
        fix="mend the model, or change `up-to` at archcheck.toml:7",
        edits={"mend the model": ("(3, 4)", "(3, 3)"), "change `up-to` at archcheck.toml:7": ("15", "16")},
    ),
    Case(
        rule="max-params = 16",
        subject=_waiver(""),
        fix="remove the waiver at archcheck.toml:7",
        edits={"remove the waiver at archcheck.toml:7": (_waiver(""), "")},
    ),
    Case(
        rule="max-params = 10",
        subject=_waiver("until = 2020-01-01"),
        fix="mend the model and remove the waiver at archcheck.toml:7, or give it a later `until`",
        edits={
            "mend the model and remove the waiver at archcheck.toml:7": [
                (_waiver("until = 2020-01-01"), ""),
                ("nn.Linear(3, 4)", "nn.Linear(3, 2)"),
            ],
            "give it a later `until`": ("2020", "2999"),
        },
    ),
    Case(
        rule="max-params = 16",
        subject=_waiver("until = 2020-01-01"),
        fix="remove the waiver at archcheck.toml:7",
        edits={"remove the waiver at archcheck.toml:7": (_waiver("until = 2020-01-01"), "")},
    ),
    Case(
        rule="no-frozen-params = true",
        model="nn.Sequential(nn.Linear(3, 4).requires_grad_(False), nn.Linear(4, 1))",
        subject=_waiver('layer = "1"', "no-frozen-params"),
        fix="mend the model and remove the waiver at archcheck.toml:7, or point its `layer` at what is found",
        edits={
            "mend the model and remove the waiver at archcheck.toml:7": [
                (_waiver('layer = "1"', "no-frozen-params"), ""),
                (".requires_grad_(False)", ""),
            ],
            "point its `layer` at what is found": ('layer = "1"', 'layer = "0"'),
        },
    ),
]
