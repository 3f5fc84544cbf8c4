"""Reading image references, and the errors of those that cannot be read."""

from __future__ import annotations

import base64
import os
import resource
import socket
import tempfile
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest

from persqa_client.errors import RowError, StorageError
from persqa_client.images.loader import MAX_CACHED_BYTES, read_cached_file
from persqa_client.images.prepare import load_image
from persqa_client.images.references import estimate_reference_size
from tests.images.image_files import check_and_decode, encode, red_and_blue
from tests.support.cases import each_case

MAX_PIXELS = 10_000_000


def load_error(reference: str, *roots: Path) -> RowError:
    with pytest.raises(RowError) as caught:
        load_image(reference, roots, max_pixels=MAX_PIXELS)
    return caught.value


def test_the_first_root_that_has_the_file_is_used(tmp_path: Path) -> None:
    for folder, width in (("a", 100), ("b", 101), ("c", 102)):
        (tmp_path / folder).mkdir()
        red_and_blue(width, 70).save(tmp_path / folder / "both.png")
    red_and_blue(99, 70).save(tmp_path / "b" / "only b.png")
    roots = [tmp_path / "missing", tmp_path / "a", tmp_path / "b"]
    assert load_image("both.png", roots, max_pixels=MAX_PIXELS).width == 100
    assert load_image("only b.png", roots, max_pixels=MAX_PIXELS).width == 99
    assert load_image(str(tmp_path / "c" / "both.png"), roots, max_pixels=MAX_PIXELS).width == 102


@pytest.mark.parametrize("start", ["file://", "file://localhost", "FILE://", "file:"])
def test_a_file_url_is_percent_decoded(start: str, tmp_path: Path) -> None:
    path = tmp_path / "a b#1?é%.png"
    red_and_blue().save(path)
    url = start + quote_from_bytes(os.fsencode(path))
    assert load_image(url, [], max_pixels=MAX_PIXELS).width == 48
    assert estimate_reference_size(url, []) == path.stat().st_size


def test_a_name_that_is_not_utf_8_is_read(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    red_and_blue().save(tmp_path / "plain.png")
    os.rename(tmp_path / "plain.png", os.path.join(tmp_path, name))
    assert load_image(name, [tmp_path], max_pixels=MAX_PIXELS).width == 48
    url = "file://" + quote_from_bytes(os.fsencode(tmp_path / name))
    assert load_image(url, [], max_pixels=MAX_PIXELS).width == 48
    error = load_error(name + "2", tmp_path)
    assert error.message.encode().startswith(rb"caf\udce9.png2")


def data_uri(data: bytes, head: str = "data:image/png;base64,") -> str:
    return head + base64.b64encode(data).decode()


@each_case(
    "reference",
    [
        pytest.param(data_uri(encode(red_and_blue(), "PNG")), id="base64"),
        pytest.param(data_uri(encode(red_and_blue(), "JPEG"), "data:text/html;base64,"), id="wrong media type"),
        pytest.param(data_uri(encode(red_and_blue(), "PNG"), "DATA:;BASE64,"), id="no media type, capitals"),
        pytest.param(data_uri(encode(red_and_blue(), "PNG")).rstrip("="), id="no padding"),
        pytest.param(data_uri(encode(red_and_blue(), "PNG")).replace("A", "A\n ", 3), id="wrapped"),
        pytest.param(data_uri(encode(red_and_blue(), "PNG")).replace("+", "-").replace("/", "_"), id="URL-safe"),
        pytest.param(data_uri(encode(red_and_blue(), "PNG")).replace("+", "%2B").replace("=", "%3D"), id="escaped"),
        pytest.param("data:image/png," + quote_from_bytes(encode(red_and_blue(), "PNG")), id="percent-encoded"),
    ],
)
def test_a_data_uri_is_decoded(reference: str) -> None:
    encoded = load_image(reference, [], max_pixels=MAX_PIXELS)
    assert check_and_decode(encoded).size == (48, 32)
    assert estimate_reference_size(reference, []) == len(reference)


@each_case(
    ("reference", "code"),
    [
        pytest.param("data:image/png;base64", "image_bad_data_uri", id="no comma"),
        pytest.param("data:image/png;base64,iVBO*Rw0KGgo", "image_bad_data_uri", id="invalid character"),
        pytest.param("data:image/png;base64,iVBORw0KG=goAAA", "image_bad_data_uri", id="padding in the middle"),
        pytest.param("data:image/png;base64,iVBOR", "image_bad_data_uri", id="invalid length"),
        pytest.param("data:image/png;base64,iVBÖ", "image_bad_data_uri", id="not ASCII"),
        pytest.param("data:image/png,\udcff", "image_bad_data_uri", id="surrogate"),
        pytest.param("data:image/png;base64,", "image_empty", id="no data"),
        pytest.param("data:image/png;base64,iVBORw0KGgo", "image_truncated", id="truncated"),
        pytest.param("data:image/png,iVBORw0KGgo", "image_not_a_picture", id="base64 that is not declared"),
        pytest.param("data:iVBORw0KGgo" + "A" * 500, "image_bad_data_uri", id="no header"),
    ],
)
def test_the_error_of_a_data_uri_does_not_show_its_data(reference: str, code: str) -> None:
    error = load_error(reference)
    assert error.code == code
    assert "iVBO" not in error.message
    assert error.message.startswith("data:")
    assert len(error.message) < 250


@pytest.mark.parametrize(
    "reference", ["https://a.example/1.jpg", "HTTP://a.example/1.jpg", "s3://bucket/1.jpg", "file://host/1.jpg"]
)
def test_a_remote_url_is_rejected(reference: str, tmp_path: Path) -> None:
    error = load_error(reference, tmp_path)
    assert error.code == "image_remote"
    assert reference in error.message
    assert ("--fetch" in error.message) == reference.lower().startswith(("http", "s3"))


def test_the_query_of_a_url_is_not_shown() -> None:
    assert "abc" not in load_error("https://a.example/1.jpg?X-Amz-Signature=abc").message


def test_the_error_of_a_missing_file_names_the_folders_searched(tmp_path: Path) -> None:
    (tmp_path / "link.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "file").write_bytes(b"x")
    for name in ("a.jpg", "link.jpg", "file/a.jpg"):
        error = load_error(name, tmp_path)
        assert (error.code, estimate_reference_size(name, [tmp_path])) == ("image_missing", 0)
        assert error.message.startswith(f"{name} ")
        assert str(tmp_path) in error.message
    assert load_error(str(tmp_path / "a.jpg")).code == "image_missing"


@pytest.mark.parametrize("space", [" ", "\n\t"])
def test_white_space_before_a_data_uri_is_ignored(space: str) -> None:
    uri = space + data_uri(encode(red_and_blue(), "PNG"))
    assert load_image(uri, [], max_pixels=MAX_PIXELS).width == 48
    assert "data:image/png;base64,…" in load_error(uri + "!").message


@each_case("head", ["", "\n", "image/png;base64,", "base64,"])
@each_case("kind", ["PNG", "JPEG", "WEBP", None])
def test_base64_without_a_header_is_rejected_and_not_shown(head: str, kind: str | None) -> None:
    data = encode(red_and_blue(), kind) if kind else bytes(range(256))
    error = load_error(head + base64.b64encode(data).decode())
    assert error.code == "image_bad_data_uri"
    assert "data:image/jpeg;base64," in error.message
    assert len(error.message) < 120


def test_a_file_whose_path_looks_like_base64_is_read(tmp_path: Path) -> None:
    path = Path("Photos2024", "a" * 120, "B" * 120, "1")
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_bytes(encode(red_and_blue(), "PNG"))
    assert load_image(str(path), [tmp_path], max_pixels=MAX_PIXELS).width == 48
    assert load_error(f"{path}2", tmp_path).code == "image_bad_data_uri"


def test_too_many_open_files_stop_the_run_instead_of_failing_the_row(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode(red_and_blue(), "PNG"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(StorageError, match=r"--concurrency.*ulimit -n"):
            load_image("a.png", [tmp_path], max_pixels=MAX_PIXELS)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_an_empty_file_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    assert load_error("a.jpg", tmp_path).code == "image_empty"


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux's /proc")
def test_a_file_without_a_size_is_not_opened() -> None:
    assert load_error("/proc/self/status").code == "image_empty"


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder.jpg").mkdir()
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{short}/socket")
        found = {
            kind: load_error(str(path))
            for kind, path in {
                "a folder": tmp_path / "folder.jpg",
                "FIFO": tmp_path / "fifo",
                "a device": Path("/dev/zero"),
                "a socket": Path(short, "socket"),
            }.items()
        }
    for kind, error in found.items():
        assert error.code == ("image_not_a_file" if kind == "a folder" else "image_device")
        assert kind in error.message
    assert estimate_reference_size("fifo", [tmp_path]) == 0


def test_a_link_to_itself_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to("a.jpg")
    assert load_error("a.jpg", tmp_path).code == "image_link_loop"
    assert estimate_reference_size("a.jpg", [tmp_path]) == 0


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("x" * 300, id="too long for a name"),
        pytest.param("d/" * 3000 + "x", id="too long for a path"),
        pytest.param("a\0b.jpg", id="NUL"),
        pytest.param("a\ud800b.jpg", id="surrogate"),
    ],
)
def test_an_invalid_file_name_is_unreadable(name: str, tmp_path: Path) -> None:
    error = load_error(name, tmp_path)
    assert (error.code, estimate_reference_size(name, [tmp_path])) == ("image_unreadable", 0)
    assert len(error.message) < 400
    assert error.message.isprintable()


def test_a_file_without_read_permission_is_unreadable(open_folder: Path) -> None:
    path = open_folder / "private.jpg"
    path.write_bytes(encode(red_and_blue(), "JPEG"))
    path.chmod(0)
    if os.geteuid() == 0:
        os.seteuid(65534)
    error = load_error("private.jpg", open_folder)
    assert error.code == "image_unreadable"
    assert "Permission denied" in error.message


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(5_000_000_000)
    assert load_error("huge.jpg", tmp_path).code == "image_too_large"
    assert estimate_reference_size("huge.jpg", [tmp_path]) == 5_000_000_000


CONTENT = bytes(range(256)) * 2000


def evict(file: Path) -> None:
    """Removes a file from the page cache, or skips the test if the file system does not do that."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        try:
            os.preadv(opened.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT)
        except BlockingIOError:
            return
        except OSError:
            pytest.skip("this file system does not say what it has in its page cache")
    pytest.skip("this file system keeps all files in memory")


def read_evicted(file: Path) -> bytes | None:
    """The look of ``evict`` may make the system read the file ahead, at times before it is looked at again."""
    evict(file)
    return read_cached_file(str(file), len(CONTENT))


def skip_without_page_cache(file: Path) -> None:
    with file.open("rb") as opened:
        try:
            os.preadv(opened.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT)
        except OSError:
            pytest.skip("this file system does not say what it has in its page cache")


def test_a_file_in_the_page_cache_is_read_and_another_is_not(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(CONTENT)
    skip_without_page_cache(file)
    assert read_cached_file(str(file), len(CONTENT)) == CONTENT
    assert any(read_evicted(file) is None for _ in range(20))
    file.read_bytes()
    assert read_cached_file(str(file), len(CONTENT)) == CONTENT


@pytest.mark.parametrize("size", [0, len(CONTENT) - 1, len(CONTENT) + 1])
def test_a_cached_file_that_changed_its_size_is_not_read(tmp_path: Path, size: int) -> None:
    file = tmp_path / "a"
    file.write_bytes(CONTENT)
    assert read_cached_file(str(file), size) is None


def test_a_large_cached_file_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(bytes(MAX_CACHED_BYTES))
    skip_without_page_cache(file)
    assert read_cached_file(str(file), MAX_CACHED_BYTES) is not None
    file.write_bytes(bytes(MAX_CACHED_BYTES + 1))
    assert read_cached_file(str(file), MAX_CACHED_BYTES + 1) is None


def test_a_cached_file_that_cannot_be_opened_is_not_read_and_none_stays_open(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "a").write_bytes(CONTENT)
    before = len(os.listdir("/proc/self/fd"))
    for name, size in (("none", 5), ("fifo", 5), ("a", len(CONTENT)), ("a", len(CONTENT) + 1)):
        read_cached_file(str(tmp_path / name), size)
    assert read_cached_file(str(tmp_path / "none"), 5) is read_cached_file(str(tmp_path / "fifo"), 5) is None
    assert len(os.listdir("/proc/self/fd")) == before


SYSFS_FILE = Path("/sys/kernel/fscaps")


@pytest.mark.skipif(not SYSFS_FILE.exists(), reason="no sysfs here")
def test_a_file_of_a_file_system_without_page_cache_is_not_read() -> None:
    assert read_cached_file(str(SYSFS_FILE), SYSFS_FILE.stat().st_size) is None
