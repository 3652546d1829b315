import http.server
import threading
import zipfile

import numpy as np
import pytest

from bench.files.atomic import file_sha256
from bench.weights import Part, Source, Weights


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("BENCH_OFFLINE", raising=False)
    return tmp_path / "cache"


def read(members):
    """A model whose parts are .npy files."""
    return {path.name.partition("-")[2] or path.name: np.load(path) for path in members.values()}


@pytest.fixture
def declare():
    """Return weights of one file."""
    return _declare


def _declare(origin, *, sha256=None, size=None, part=None, automatic=False, name="toy"):
    return Weights(
        name=name,
        license="CC BY-NC 4.0",
        non_commercial=True,
        automatic=automatic,
        sources=(Source("toy.npy", origin, sha256, size),),
        parts=(Part("whole", ("toy.npy",), part),),
        convert=read,
    )


@pytest.fixture
def archive(tmp_path):
    """A zip with two models, and weights that know every hash."""
    path, hashes = tmp_path / "both.zip", {}
    with zipfile.ZipFile(path, "w") as packed:
        for name in ("a", "b"):
            np.save(tmp_path / "m.npy", np.full(4, ord(name), np.int64))
            packed.write(tmp_path / "m.npy", f"pkg/{name}/m.npy")
            hashes[f"pkg/{name}/m.npy"] = file_sha256(tmp_path / "m.npy")
        packed.writestr("pkg/setup.py", "raise SystemExit")
    source = Source("both.zip", "https://x.invalid/both.zip", file_sha256(path), path.stat().st_size, hashes)
    parts = tuple(Part(name, (f"pkg/{name}/m.npy",)) for name in ("a", "b"))
    return path, Weights("both", "MIT", (source,), parts, read)


@pytest.fixture
def toy(tmp_path):
    """A published file with its hash."""
    path = tmp_path / "published" / "toy.npy"
    path.parent.mkdir()
    np.save(path, np.arange(50_000, dtype=np.float32))
    return path, file_sha256(path)


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves bytes; can break off after so many bytes, and can be told not to know about ranges."""

    def do_GET(self):
        server = self.server
        server.asked.append(self.headers.get("Range"))
        if self.path in server.moved:
            self.send_response(302)
            self.send_header("Location", server.moved[self.path])
            return self.end_headers()
        if self.path not in server.files:
            return self.send_error(404)
        data = server.files[self.path]
        start = 0
        if server.ranges and (asked := self.headers.get("Range")):
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if server.lengths:
            self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        rest = data[start:]
        if server.breaks:
            rest = rest[: server.breaks.pop(0)]
        self.wfile.write(rest)
        return None

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        made.files, made.asked, made.breaks, made.ranges = {}, [], [], True
        made.moved, made.lengths = {}, True
        made.url = f"http://127.0.0.1:{made.server_address[1]}"
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()
