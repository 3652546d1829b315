"""What only some systems have is used behind a guard: the package runs on Linux, macOS and Windows."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "termios", "tty"}
OF_OS = {
    "fork", "forkpty", "geteuid", "getloadavg", "getpgid", "getuid", "kill", "killpg", "mkfifo", "sched_getaffinity",
    "sched_setaffinity", "setsid", "sysconf", "uname",
}  # fmt: skip
OF_SIGNAL = {"SIGALRM", "SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "alarm", "pthread_kill"}
GUARDS = {"hasattr", "os.name", "sys.platform"}
ERRORS = {"AttributeError", "ImportError", "ModuleNotFoundError"}


def needs(node):
    """What a node needs of the system, or None."""
    if isinstance(node, ast.Import):
        return next((alias.name for alias in node.names if alias.name in MODULES), None)
    if isinstance(node, ast.ImportFrom):
        names = {"os": OF_OS, "signal": OF_SIGNAL}.get(node.module, set())
        return node.module if node.module in MODULES else next((a.name for a in node.names if a.name in names), None)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        names = {"os": OF_OS, "signal": OF_SIGNAL}.get(node.value.id, set())
        return ast.unparse(node) if node.attr in names else None
    return None


def unguarded(tree):
    """Yield (line, what) of each use outside a condition on the system and a `try` for its absence."""

    def visit(node, guarded):
        if not guarded and (what := needs(node)):
            yield node.lineno, what
        if isinstance(node, ast.Try):
            caught = {ast.unparse(name) for handler in node.handlers if handler.type for name in ast.walk(handler.type)}
            for part in node.body:
                yield from visit(part, guarded or bool(caught & ERRORS))
            for part in [*node.handlers, *node.orelse, *node.finalbody]:
                yield from visit(part, guarded)
            return
        if isinstance(node, ast.If | ast.IfExp | ast.BoolOp):
            test = node.values[0] if isinstance(node, ast.BoolOp) else node.test
            guarded = guarded or any(guard in ast.unparse(test) for guard in GUARDS)
        for part in ast.iter_child_nodes(node):
            yield from visit(part, guarded)

    yield from visit(tree, False)


@pytest.mark.parametrize("folder", ["bench", "extractors", "recommenders", "benchmarks"])
def test_what_only_some_systems_have_is_guarded(folder):
    found = [
        f"{path.relative_to(ROOT)}, line {line}: {what}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line, what in unguarded(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not found


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("import resource", [1]),
        ("from fcntl import flock", [1]),
        ("from os import fork", [1]),
        ("import os\nos.kill(1, 0)", [2]),
        ("import signal\nprint(signal.SIGKILL)", [2]),
        ("try:\n  import resource\nexcept ImportError:\n  pass", []),
        ("try:\n  import resource\nexcept ValueError:\n  pass", [2]),
        ("try:\n  pass\nexcept ImportError:\n  import resource", [4]),
        ("import os\nif os.name == 'posix':\n  os.kill(1, 0)", []),
        ("import os\nn = os.getloadavg() if hasattr(os, 'getloadavg') else 0", []),
        ("import os\nif ready:\n  os.fork()", [3]),
    ],
)
def test_the_check_sees_what_it_should(code, lines):
    assert [line for line, _ in unguarded(ast.parse(code))] == lines
