"""Which bytes a reference stands for, and how each that stands for none is named."""

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
from persqa_client.images.prepare import load_image
from persqa_client.images.references import estimate_reference_size
from tests.images.pictures import file_of, shows, two_halves

PLENTY = 10_000_000


def refusal(reference: str, *roots: Path) -> RowError:
    with pytest.raises(RowError) as caught:
        load_image(reference, roots, max_pixels=PLENTY)
    return caught.value


def test_the_first_root_that_has_the_picture_wins(tmp_path: Path) -> None:
    for folder, width in (("a", 100), ("b", 101), ("c", 102)):
        (tmp_path / folder).mkdir()
        two_halves(width, 70).save(tmp_path / folder / "both.png")
    two_halves(99, 70).save(tmp_path / "b" / "only b.png")
    roots = [tmp_path / "missing", tmp_path / "a", tmp_path / "b"]
    assert load_image("both.png", roots, max_pixels=PLENTY).width == 100
    assert load_image("only b.png", roots, max_pixels=PLENTY).width == 99
    assert load_image(str(tmp_path / "c" / "both.png"), roots, max_pixels=PLENTY).width == 102


@pytest.mark.parametrize("start", ["file://", "file://localhost", "FILE://", "file:"])
def test_a_file_url_is_percent_decoded(start: str, tmp_path: Path) -> None:
    path = tmp_path / "a b#1?é%.png"
    two_halves().save(path)
    url = start + quote_from_bytes(os.fsencode(path))
    assert load_image(url, [], max_pixels=PLENTY).width == 32
    assert estimate_reference_size(url, []) == path.stat().st_size


def test_a_name_that_is_not_utf_8_opens(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    two_halves().save(tmp_path / "plain.png")
    os.rename(tmp_path / "plain.png", os.path.join(tmp_path, name))
    assert load_image(name, [tmp_path], max_pixels=PLENTY).width == 32
    url = "file://" + quote_from_bytes(os.fsencode(tmp_path / name))
    assert load_image(url, [], max_pixels=PLENTY).width == 32
    error = refusal(name + "2", tmp_path)
    assert error.message.encode().startswith(rb"caf\udce9.png2")


def data_uri(data: bytes, head: str = "data:image/png;base64,") -> str:
    return head + base64.b64encode(data).decode()


@pytest.mark.parametrize(
    "reference",
    [
        pytest.param(data_uri(file_of(two_halves(), "PNG")), id="base64"),
        pytest.param(data_uri(file_of(two_halves(), "JPEG"), "data:text/html;base64,"), id="a type that is not true"),
        pytest.param(data_uri(file_of(two_halves(), "PNG"), "DATA:;BASE64,"), id="no type, in capitals"),
        pytest.param(data_uri(file_of(two_halves(), "PNG")).rstrip("="), id="no padding"),
        pytest.param(data_uri(file_of(two_halves(), "PNG")).replace("A", "A\n ", 3), id="wrapped"),
        pytest.param(data_uri(file_of(two_halves(), "PNG")).replace("+", "-").replace("/", "_"), id="URL-safe"),
        pytest.param(data_uri(file_of(two_halves(), "PNG")).replace("+", "%2B").replace("=", "%3D"), id="escaped"),
        pytest.param("data:image/png," + quote_from_bytes(file_of(two_halves(), "PNG")), id="percent-encoded"),
    ],
)
def test_a_data_uri_is_a_picture_by_its_content(reference: str) -> None:
    picture = load_image(reference, [], max_pixels=PLENTY)
    assert shows(picture).size == (32, 16)
    assert estimate_reference_size(reference, []) == len(reference)


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        pytest.param("data:image/png;base64", "image_bad_data_uri", id="no comma"),
        pytest.param("data:image/png;base64,iVBO*Rw0KGgo", "image_bad_data_uri", id="a letter base64 does not have"),
        pytest.param("data:image/png;base64,iVBORw0KG=goAAA", "image_bad_data_uri", id="padding in the middle"),
        pytest.param("data:image/png;base64,iVBOR", "image_bad_data_uri", id="a length base64 does not have"),
        pytest.param("data:image/png;base64,iVBÖ", "image_bad_data_uri", id="not even ASCII"),
        pytest.param("data:image/png,\udcff", "image_bad_data_uri", id="a stray surrogate"),
        pytest.param("data:image/png;base64,", "image_empty", id="nothing"),
        pytest.param("data:image/png;base64,iVBORw0KGgo", "image_truncated", id="cut off"),
        pytest.param("data:image/png,iVBORw0KGgo", "image_not_a_picture", id="base64 that does not say so"),
        pytest.param("data:iVBORw0KGgo" + "A" * 500, "image_bad_data_uri", id="no head at all"),
    ],
)
def test_a_bad_data_uri_is_named_without_its_data(reference: str, code: str) -> None:
    error = refusal(reference)
    assert error.code == code
    assert "iVBO" not in error.message
    assert error.message.startswith("data:")
    assert len(error.message) < 250


@pytest.mark.parametrize(
    "reference", ["https://a.example/1.jpg", "HTTP://a.example/1.jpg", "s3://bucket/1.jpg", "file://host/1.jpg"]
)
def test_what_is_elsewhere_is_remote(reference: str, tmp_path: Path) -> None:
    error = refusal(reference, tmp_path)
    assert error.code == "image_remote"
    assert reference in error.message
    assert estimate_reference_size(reference, [tmp_path]) == 0


def test_the_signature_of_a_url_stays_out_of_the_message() -> None:
    assert "abc" not in refusal("https://a.example/1.jpg?X-Amz-Signature=abc").message


def test_a_missing_picture_is_named_with_the_places_looked_in(tmp_path: Path) -> None:
    (tmp_path / "link.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "file").write_bytes(b"x")
    for name in ("a.jpg", "link.jpg", "file/a.jpg"):
        error = refusal(name, tmp_path)
        assert (error.code, estimate_reference_size(name, [tmp_path])) == ("image_missing", 0)
        assert error.message.startswith(f"{name} ")
        assert str(tmp_path) in error.message
    assert refusal(str(tmp_path / "a.jpg")).code == "image_missing"


@pytest.mark.parametrize("space", [" ", "\n\t"])
def test_space_before_a_data_uri_is_no_path(space: str) -> None:
    uri = space + data_uri(file_of(two_halves(), "PNG"))
    assert load_image(uri, [], max_pixels=PLENTY).width == 32
    assert "data:image/png;base64,…" in refusal(uri + "!").message


@pytest.mark.parametrize("head", ["", "\n", "image/png;base64,", "base64,"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", None])
def test_base64_without_a_head_is_told_so_and_not_shown(head: str, kind: str | None) -> None:
    """The last kind is one that is not known here."""
    data = file_of(two_halves(), kind) if kind else bytes(range(256))
    error = refusal(head + base64.b64encode(data).decode())
    assert error.code == "image_bad_data_uri"
    assert "put data:image/jpeg;base64, in front" in error.message
    assert len(error.message) < 120


def test_a_file_whose_path_looks_like_base64_is_read(tmp_path: Path) -> None:
    path = Path("Photos2024", "a" * 120, "B" * 120, "1")
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_bytes(file_of(two_halves(), "PNG"))
    assert load_image(str(path), [tmp_path], max_pixels=PLENTY).width == 32
    assert refusal(f"{path}2", tmp_path).code == "image_bad_data_uri"


def test_a_process_without_file_handles_is_no_fault_of_the_row(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(file_of(two_halves(), "PNG"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(StorageError, match=r"lower --concurrency or raise the limit \(ulimit -n\)"):
            load_image("a.png", [tmp_path], max_pixels=PLENTY)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_an_empty_file_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    assert refusal("a.jpg", tmp_path).code == "image_empty"


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux's /proc")
def test_a_file_without_a_size_is_not_opened() -> None:
    assert refusal("/proc/self/status").code == "image_empty"


def test_only_files_are_opened_so_nothing_blocks(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder.jpg").mkdir()
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{short}/socket")
        found = {
            kind: refusal(str(path))
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


def test_a_link_to_itself_is_a_loop(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to("a.jpg")
    assert refusal("a.jpg", tmp_path).code == "image_link_loop"
    assert estimate_reference_size("a.jpg", [tmp_path]) == 0


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("x" * 300, id="too long for a name"),
        pytest.param("d/" * 3000 + "x", id="too long for a path"),
        pytest.param("a\0b.jpg", id="NUL"),
        pytest.param("a\ud800b.jpg", id="a surrogate that stands for no byte"),
    ],
)
def test_a_name_that_no_file_can_have_is_unreadable(name: str, tmp_path: Path) -> None:
    error = refusal(name, tmp_path)
    assert (error.code, estimate_reference_size(name, [tmp_path])) == ("image_unreadable", 0)
    assert len(error.message) < 400
    assert error.message.isprintable()


def test_a_file_that_may_not_be_read_is_unreadable(open_folder: Path) -> None:
    path = open_folder / "private.jpg"
    path.write_bytes(file_of(two_halves(), "JPEG"))
    path.chmod(0)
    if os.geteuid() == 0:
        os.seteuid(65534)
    error = refusal("private.jpg", open_folder)
    assert error.code == "image_unreadable"
    assert "Permission denied" in error.message


def test_a_file_too_big_for_memory_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(5_000_000_000)
    assert refusal("huge.jpg", tmp_path).code == "image_too_large"
    assert estimate_reference_size("huge.jpg", [tmp_path]) == 5_000_000_000
