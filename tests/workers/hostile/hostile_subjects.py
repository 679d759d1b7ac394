"""Subjects that do what strangers' code does by accident or on purpose, and what archcheck says of each.

Each text is a file of its own in a project with one contract. `Net` has sixteen parameters, one more than promised: a
subject that is judged is broken, whatever it has tried, and one that could not be measured says why in one line.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

JUDGED = "max-params"
"""Instead of a message: the subject was measured and judged correctly."""
TIMEOUT = 3
"""Seconds for a subject that does not end. One that ends has a minute, because the machine may be busy."""
LATE = f"was not done after {TIMEOUT} s"

_NET = """
{imports}
import os, signal, sys, time
import torch
from torch import nn

{top}

class Net(nn.Linear):
    def __init__(self):
        super().__init__(3, 4)
{init}
    def forward(self, x):
{forward}
        return super().forward(x)
"""


def _net(init: str = "pass", forward: str = "pass", top: str = "", imports: str = "") -> str:
    blocks = {"init": indent(dedent(init), " " * 8), "forward": indent(dedent(forward), " " * 8)}
    return _NET.format(imports=dedent(imports), top=dedent(top), **blocks)


_FORGERY = """
import json
facts = {"params": {"total": 1}, "forged": True}
for number in (0, 1, 2, 3, "0", "1", None):
    for line in ({"id": number, "answer": facts}, {"id": number, "progress": facts}, {"answer": facts}):
        for descriptor in range(3, 2048):
            try:
                os.write(descriptor, json.dumps(line).encode() + b"\\n")
            except OSError:
                pass
for descriptor in range(3, 2048):
    try:
        os.write(descriptor, b"no line, no JSON \\xff [[[[")
    except OSError:
        pass
"""
_ENDLESS = """
for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
"""
_DAEMON = """
if not os.fork():
    os.setsid()
    if not os.fork():
        os.setsid()
        for descriptor in range(64):
            try:
                os.close(descriptor)
            except OSError:
                pass
        time.sleep(1e6)
    os._exit(0)
"""
_GRANDPARENT = """
parent = open(f"/proc/{os.getppid()}/stat").read().rpartition(")")[2].split()[1]
os.kill(int(parent), signal.SIGKILL)
time.sleep(60)
"""
_TRAINING = """
def train():
    net = Net()
    for epoch in range(1000):
        for _ in range(1000):
            net(torch.zeros(8, 3)).sum().backward()
        print("epoch", epoch)
    torch.save(net.state_dict(), "weights.pt")

train()
"""
_PRINTS = """
for _ in range(10):
    print("x" * 1_000_000)
    sys.stderr.write("y" * 1_000_000)
    os.write(1, b"z" * 1_000_000)
"""

SUBJECTS: dict[str, tuple[str, str]] = {
    "good-first": (_net(), JUDGED),
    # --- never ends ------------------------------------------------------------------------------------------
    "loops-at-import": (_net(top="while True:\n    pass"), f"{LATE}|{JUDGED}"),
    "trains-at-import": (_net() + _TRAINING, f"{LATE}|{JUDGED}"),
    "loops-when-built": (_net("while True: pass"), LATE),
    "loops-in-forward": (_net(forward="while True: pass"), LATE),
    "sleeps-in-c": (_net(forward="time.sleep(1e6)"), LATE),
    "swallows-everything": (_net(forward=_ENDLESS), LATE),
    "stops-itself": (_net("os.kill(os.getpid(), signal.SIGSTOP)"), LATE),
    "stops-its-parent": (_net("os.kill(os.getppid(), signal.SIGSTOP)\ntime.sleep(60)"), LATE),
    "sleeps-to-spite": (_net("import ctypes\nctypes.CDLL(None).sleep(1000000)"), LATE),
    # --- ends its process, or others -------------------------------------------------------------------------
    "exits-at-import": (_net(top="sys.exit(3)"), rf"called sys.exit\(3\)|{JUDGED}"),
    "exits-when-built": (_net("sys.exit(3)"), r"called sys.exit\(3\) while it was measured"),
    "exits-in-forward": (_net(forward="raise SystemExit"), r"called sys.exit\(None\) while it was measured"),
    "ends-at-once": (_net("os._exit(0)"), "the process ended itself with exit code 0"),
    "kills-itself": (_net("os.kill(os.getpid(), signal.SIGKILL)"), "the process was killed by SIGKILL"),
    "kills-its-group": (_net("os.killpg(0, signal.SIGKILL)"), "the process was killed by SIGKILL"),
    "kills-its-parent": (_net("os.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(60)"), "was killed by SIGKILL"),
    "kills-its-grandparent": (_net(_GRANDPARENT), "the process was killed by SIGKILL"),
    "terminates-its-parent": (_net("os.kill(os.getppid(), signal.SIGTERM)"), JUDGED),
    "interrupts-when-built": (_net("raise KeyboardInterrupt"), "ended with KeyboardInterrupt"),
    "interrupts-in-forward": (_net(forward="raise KeyboardInterrupt"), "ended with KeyboardInterrupt"),
    "crashes": (_net(imports="import ctypes", forward="ctypes.string_at(0)"), "the process was killed by SIGSEGV"),
    "aborts": (_net("os.abort()"), "the process was killed by SIGABRT"),
    # --- wants more than there is ----------------------------------------------------------------------------
    "recurses": (_net("def again(): again()\nagain()"), "RecursionError"),
    "recurses-for-ever": (
        _net("sys.setrecursionlimit(10**9)\ndef again(): again()\nagain()"), f"SIGSEGV|emory|{LATE}"
    ),
    "recurses-in-c": (
        _net("sys.setrecursionlimit(10**9)\nx = []\nfor _ in range(200_000): x = [x]\nrepr(x)"),
        "SIGSEGV|Recursion|emory",
    ),
    "allocates-when-built": (_net("self.held = torch.ones(25_000_000_000)"), "allocate|memory"),
    "allocates-in-forward": (_net(forward="held = bytearray(100_000_000_000)"), "MemoryError|memory"),
    "fills-the-disk": (
        _net("with open('big', 'wb') as file:\n    file.truncate(1 << 50)"), "File too large|could not be built"
    ),
    # --- talks -----------------------------------------------------------------------------------------------
    "prints-much": (_net(_PRINTS), JUDGED),
    "prints-reports": (
        _net("print('{\"schema\": 1, \"reports\": []}')\nsys.__stdout__.write('kept  max-params')"), JUDGED
    ),
    "forges-answers": (_net(_FORGERY), JUDGED),
    "shows-a-screen": (
        _net("raise ValueError('\\x1b[2J\\x1b[32mkept\\nit all')"), r"ValueError: \\x1b\[2J\\x1b\[32mkept it all"
    ),
    "fails-to-say-why": (
        _net("raise Mute", top="class Mute(Exception):\n    def __str__(self): raise Mute"), "Mute: no message"
    ),
    "reads-what-nobody-types": (_net("input('your name: ')"), "EOFError"),
    # --- leaves things behind ----------------------------------------------------------------------------------
    "forks": (_net("if not os.fork():\n    time.sleep(1e6)"), JUDGED),
    "forks-a-daemon": (_net(_DAEMON), JUDGED),
    "forks-a-daemon-and-crashes": (_net(_DAEMON + "os.abort()"), "the process was killed by SIGABRT"),
    "forks-a-daemon-and-kills-its-parent": (
        _net(_DAEMON + "os.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(60)"), "was killed by SIGKILL"
    ),
    "forks-many": (_net("for _ in range(6):\n    if not os.fork(): os.setsid()\n"
                        "if os.getpid() != first: time.sleep(1e6)", top="first = os.getpid()"), JUDGED),
    "starts-a-program": (
        _net("import subprocess\nsubprocess.Popen(['sleep', '1000000'], start_new_session=True)"), JUDGED
    ),
    "writes-where-it-is": (
        _net("import tempfile\nopen('left.txt', 'w').write('x')\nos.mkdir('left')\ntorch.save({}, 'left.pt')\n"
             "tempfile.mkdtemp()"), JUDGED
    ),
    "locks-its-folder": (_net("os.makedirs('a/b')\nopen('a/b/c', 'w')\nos.chmod('a/b', 0)\nos.chmod('a', 0)"), JUDGED),
    "removes-its-folder": (
        _net("import shutil\nfolder = os.path.dirname(os.path.dirname(os.environ['TMPDIR']))\n"
             "assert os.path.basename(folder).startswith('archcheck-')\nshutil.rmtree(folder, ignore_errors=True)\n"
             "open(folder, 'w')"), f"removed the folder that it worked in|{JUDGED}"
    ),
    "after-that": (_net(), JUDGED),
    "registers-for-the-end": (
        _net("atexit.register(lambda: (open(os.path.join(os.path.dirname(__file__), 'left'), 'w'), time.sleep(1e6)))",
             imports="import atexit"), JUDGED
    ),
    "starts-a-thread": (
        _net("threading.Thread(target=time.sleep, args=(1e6,)).start()", imports="import threading"), JUDGED
    ),
    # --- meddles -----------------------------------------------------------------------------------------------
    "handles-signals": (
        _net("for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD, signal.SIGPIPE):\n"
             "    signal.signal(number, lambda *_: sys.exit(9))"), JUDGED
    ),
    "deletes-itself": (_net("os.unlink(__file__)"), f"deletes_itself|{JUDGED}"),
    "closes-descriptors": (_net("os.closerange(0, 256)"), JUDGED),
    "closes-all-descriptors": (_net("os.closerange(0, 1 << 16)"), "the process ended itself with exit code"),
    "breaks-its-streams": (_net("sys.stdout = sys.stderr = sys.stdin = None"), JUDGED),
    "dies-hard": (
        _net("self.trap = Trap()", top="class Trap:\n    def __del__(self): os._exit(5)\n"
             "    def __reduce__(self): raise KeyboardInterrupt\n    __deepcopy__ = __copy__ = __reduce__"),
        f"ended with KeyboardInterrupt|exit code 5|{JUDGED}",
    ),
    # --- wants another machine -----------------------------------------------------------------------------------
    "needs-a-package": (_net("no_such_package.make()", imports="import no_such_package"), "no_such_package"),
    "needs-a-gpu": (_net("torch.cuda.get_device_properties(0)"), "CUDA|NVIDIA"),
    "computes-on-a-gpu": (_net(forward="x = x.to(torch.device('cuda'))"), JUDGED),
    "parses-arguments": (
        _net(top="import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('data')\n"
             "args = parser.parse_args()"), rf"called sys.exit\(2\)|{JUDGED}"
    ),
    # --- is well ---------------------------------------------------------------------------------------------------
    "reads-beside-itself": (_net("assert open('words.txt').read() == 'words'"), JUDGED),
    "reads-its-folder": (_net("assert open('own.txt').read() == 'own'"), JUDGED),
    "good-last": (_net(), JUDGED),
}  # fmt: skip
"""Name -> the text of the file, and a pattern for the message."""


def write_project(folder: Path) -> None:
    """Write the subjects, each in a separate file, and the contract with all of them."""
    contract = []
    for name, (text, says) in SUBJECTS.items():
        file = folder / "subjects" / f"{name.replace('-', '_')}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        limit = TIMEOUT if LATE in says else 60
        model = f"subjects/{file.name}:Net"
        contract.append(
            f'[subjects.{name}]\nmodel = "{model}"\ntimeout = {limit}\ninput = [1, 3]\nrules.max-params = 15\n'
        )
    (folder / "archcheck.toml").write_text("\n".join(contract))
    (folder / "words.txt").write_text("words")
    (folder / "subjects" / "own.txt").write_text("own")
