"""The processes that run RecBole: one that inspects an interpreter, and one that trains and scores."""

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
"""The version of RecBole that this code is written for."""
LOG = "log.txt"
SHOWN = 15
"""How many of the last lines of a failed process an error shows."""


def install_line(python: str | None = None) -> str:
    """Return the commands that install RecBole; pip cannot resolve its own pins (ray)."""
    pip = f"{python} -m pip" if python else "pip"
    needed = (
        "'pandas>=2,<3' numpy scipy torch scikit-learn colorlog colorama tabulate tensorboard texttable tqdm pyyaml"
    )
    first = f"install {needed}" if python else "install 'music-embedding-bench[recbole]'"
    return f"{pip} {first} && {pip} install --no-deps recbole=={VERSION}"


@cache
def inspect(python: str, model: str) -> Mapping[str, Any]:
    """Return what ``inspect_env.py`` finds in the interpreter `python`.

    Raises
    ------
    BenchError
        When `python` cannot be run, or lacks RecBole or what it needs.

    """
    command = [python, str(Path(__file__).with_name("inspect_env.py")), model]
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
        raise BenchError(f"recbole: {python} has RecBole {versions['recbole']}, and bench needs {VERSION}: {how}")
    if int(versions["pandas"].partition(".")[0]) > 2:
        raise BenchError(
            f"recbole: with pandas {versions['pandas']} RecBole {VERSION} reads its data wrongly and raises no error. "
            f"Install pandas 2, here or in another environment (python=PATH): {how}"
        )
    return cast("Mapping[str, Any]", found)


class Process:
    """A running ``worker.py`` and its folder; neither outlives this object.

    folder : holds ``request.json`` and the data; removed at the end
    name : of the model, for messages
    """

    def __init__(self, python: str, folder: Path, device: str, name: str):
        self.folder, self._python, self._device, self._name = folder, python, device, name
        self._running: list[subprocess.Popen[bytes]] = []
        self.end = weakref.finalize(self, _end, self._running, folder)
        """Kills the process and removes the folder."""

    def start(self) -> None:
        """Start the process, which reads the data from the folder."""
        environment = os.environ | {
            "CUDA_VISIBLE_DEVICES": gpu(self._device),
            "PYTHONHASHSEED": "0",
            "PYTHONSAFEPATH": "",  # the script imports from its own folder
        }
        with open(self.folder / LOG, "wb") as log:
            self._process = subprocess.Popen(
                [self._python, str(Path(__file__).with_name("worker.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.folder,
                env=environment,
                start_new_session=True,  # Ctrl-C goes to the harness, which then ends this process
            )
        self._running.append(self._process)

    def send(self, do: str, body: NDArray[np.int32] | None = None, **more: Any) -> None:
        """Send a request."""
        pipe = self._process.stdin
        assert pipe
        try:
            pipe.write(json.dumps({"do": do, "bytes": 0 if body is None else body.nbytes, **more}).encode() + b"\n")
            if body is not None:
                pipe.write(np.ascontiguousarray(body).data)
            pipe.flush()
        except OSError:  # BrokenPipeError, on Windows another one
            raise self._failure() from None

    def receive(self) -> dict[str, Any]:
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
            raise self._failure()
        answer: dict[str, Any] = json.loads(line)
        if answer["kind"] == "refused":
            self.end()
            raise BenchError(f"{self._name}: {answer['message']}")
        if answer["kind"] == "error":
            raise self._failure(answer["message"])
        return answer

    def receive_into(self, block: NDArray[np.float32]) -> None:
        """Read the bytes that follow an answer into `block`, C-contiguous."""
        pipe, view = self._process.stdout, block.data.cast("B")
        assert pipe
        while len(view):
            got = pipe.readinto(view)  # type: ignore[attr-defined]
            if not got:
                raise self._failure()
            view = view[got:]

    def _failure(self, message: str | None = None) -> BenchError:
        code = self._process.wait()
        lines = (self.folder / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = "\n".join(f"  {line}" for line in lines[-SHOWN:])
        self.end()
        reason = message or (f"killed by signal {-code}" if code < 0 else f"exit code {code}")
        return BenchError(f"{self._name} failed in its own process: {reason}\n{last}".rstrip())


def gpu(device: str) -> str:
    """Return what CUDA_VISIBLE_DEVICES must be so that the process sees `device` only, or no GPU."""
    if not device.startswith("cuda"):
        return ""
    index = int(device.partition(":")[2] or 0)
    seen = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return seen[index] if index < len(seen) else str(index)


def _end(running: list[subprocess.Popen[bytes]], folder: Path) -> None:
    for process in running:
        process.kill()
        for pipe in (process.stdin, process.stdout):
            with suppress(BrokenPipeError):  # of a request that it has not read
                if pipe:
                    pipe.close()
        process.wait()
    shutil.rmtree(folder, ignore_errors=True)
