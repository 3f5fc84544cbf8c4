"""A store in memory, and a server that speaks S3."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

fsspec = pytest.importorskip("fsspec", reason="the extra [remote] is not installed")


def draw_png(colour: str = "red", side: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(buffer, "PNG")
    return buffer.getvalue()


def write_tar() -> bytes:
    """Three samples: a picture and an object each."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for number, colour in enumerate(("red", "green", "blue")):
            for name, data in ((f"{number}.png", draw_png(colour)), (f"{number}.json", b'{"id": 7}')):
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
    return file.getvalue()


@pytest.fixture
def store() -> Iterator[Any]:
    """That of ``memory://``, which is one for the process."""
    memory = fsspec.filesystem("memory", use_listings_cache=False)
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    yield memory
    memory.store.clear()


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    pytest.importorskip("s3fs", reason="the extra [remote] is not installed")
    moto = pytest.importorskip("moto.server", reason="the packages moto[s3] and flask are not installed")
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """With a bucket named ``bucket``."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    store = fsspec.filesystem("s3", use_listings_cache=False, skip_instance_cache=True)
    if not store.exists("bucket"):
        store.mkdir("bucket")
    yield store
    store.rm("bucket", recursive=True)
    # Those that were opened know this server.
    type(store).clear_instance_cache()
