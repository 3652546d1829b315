"""The processes that RecBole lives in: one that looks around, and one that trains and scores."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import weakref
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError

VERSION = "1.2.1"
"""The version of RecBole whose workings the bridge knows."""
LOG = "log.txt"
SHOWN = 15
"""Last lines of a dead process that are shown."""


def install_line(python: str | None = None) -> str:
    """Return the commands that bring RecBole to an interpreter; its own pins (ray) cannot be resolved."""
    pip = f"{python} -m pip" if python else "pip"
    light = "'pandas>=2,<3' numpy scipy torch scikit-learn colorlog colorama tabulate tensorboard texttable tqdm pyyaml"
    first = f"install {light}" if python else "install 'music-embedding-bench[recbole]'"
    return f"{pip} {first} && {pip} install --no-deps recbole=={VERSION}"


@cache
def probe(python: str, model: str) -> Mapping[str, Any]:
    """Return what ``_recbole_probe.py`` finds in the interpreter `python`.

    Raises
    ------
    BenchError
        When `python` cannot be run, or lacks RecBole or what it needs.

    """
    command = [python, str(Path(__file__).with_name("_recbole_probe.py")), model]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise BenchError(f"recbole: python={python} cannot be used ({said.strip().splitlines()[-1]}).") from error
    how = install_line(None if python == sys.executable else python)
    if found["missing"]:
        raise BenchError(f"recbole needs {', '.join(found['missing'])}, which {python} does not have: {how}")
    versions = found["versions"]
    if versions["recbole"] != VERSION:
        raise BenchError(f"recbole: {python} has RecBole {versions['recbole']}, the bridge knows {VERSION}: {how}")
    if int(versions["pandas"].partition(".")[0]) > 2:
        raise BenchError(
            f"recbole: RecBole {VERSION} reads its data wrongly with pandas {versions['pandas']}, without saying so. "
            f"Give it pandas 2, here or in another environment (python=PATH): {how}"
        )
    return cast("Mapping[str, Any]", found)


class Process:
    """A running ``_recbole_child.py`` and its folder; both end with this object, at the latest.

    folder : holds ``asked.json`` and the data; removed at the end
    who : how messages name the model
    """

    def __init__(self, python: str, folder: Path, device: str, who: str):
        self.folder, self._python, self._device, self._who = folder, python, device, who
        self._running: list[subprocess.Popen[bytes]] = []
        self.end = weakref.finalize(self, _end, self._running, folder)
        """Kills the process and removes the folder."""

    def start(self) -> None:
        """Start the process, which reads what is in the folder by now."""
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": gpu(self._device), "PYTHONHASHSEED": "0"}
        with open(self.folder / LOG, "wb") as log:
            self._process = subprocess.Popen(
                [self._python, str(Path(__file__).with_name("_recbole_child.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.folder,
                env=environment,
                start_new_session=True,  # Ctrl-C is for the harness, which then ends this process
            )
        self._running.append(self._process)

    def ask(self, do: str, body: NDArray[np.int32] | None = None, **more: Any) -> None:
        """Send a request."""
        pipe = self._process.stdin
        assert pipe
        try:
            pipe.write(json.dumps({"do": do, "bytes": 0 if body is None else body.nbytes, **more}).encode() + b"\n")
            if body is not None:
                pipe.write(np.ascontiguousarray(body).data)
            pipe.flush()
        except OSError:  # BrokenPipeError, on Windows another one
            raise self._dead() from None

    def answer(self) -> dict[str, Any]:
        """Wait for the next answer.

        Raises
        ------
        BenchError
            When the process has failed or is gone, with its last lines.

        """
        pipe = self._process.stdout
        assert pipe
        line = pipe.readline()
        if not line:
            raise self._dead()
        found: dict[str, Any] = json.loads(line)
        if found["say"] == "error":
            raise self._dead(found["message"])
        return found

    def fill(self, block: NDArray[np.float32]) -> None:
        """Read the bytes that follow an answer into `block`, C-contiguous."""
        pipe, view = self._process.stdout, block.data.cast("B")
        assert pipe
        while len(view):
            got = pipe.readinto(view)  # type: ignore[attr-defined]
            if not got:
                raise self._dead()
            view = view[got:]

    def _dead(self, message: str | None = None) -> BenchError:
        code = self._process.wait()
        lines = (self.folder / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = "\n".join(f"  {line}" for line in lines[-SHOWN:])
        self.end()
        how = message or (f"killed by signal {-code}" if code < 0 else f"exit code {code}")
        return BenchError(f"{self._who} failed in its own process: {how}\n{last}".rstrip())


def gpu(device: str) -> str:
    """Return what CUDA_VISIBLE_DEVICES must be for the process to see `device` alone, or no GPU."""
    if not device.startswith("cuda"):
        return ""
    index = int(device.partition(":")[2] or 0)
    seen = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return seen[index] if index < len(seen) else str(index)


def _end(running: list[subprocess.Popen[bytes]], folder: Path) -> None:
    for process in running:
        process.kill()
        for pipe in (process.stdin, process.stdout):
            with suppress(BrokenPipeError):  # a request that it did not read any more
                if pipe:
                    pipe.close()
        process.wait()
    shutil.rmtree(folder, ignore_errors=True)
