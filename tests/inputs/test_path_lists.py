"""Lists of paths as programs write them, and listings for people, which are refused with the way."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from persqa_client.errors import SettingsError
from persqa_client.inputs.opening import open_source
from persqa_client.types import START_POSITION
from tests.support.cases import each_case


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("IMG_0001.JPG", "8 a.jpg", "cover", "DCIM/2.jpg", "cut/1,a.jpg", "a.jfif"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()


def paths_in(text: str) -> list[object]:
    Path("list.txt").write_text(text, newline="")
    source = open_source(Path("list.txt"), "image")
    return [orjson.loads(line)["image"] for line, _ in source.lines(START_POSITION) if line]


@each_case(
    ("text", "paths"),
    [
        pytest.param("cover\nDCIM/2.jpg\n", ["cover", "DCIM/2.jpg"], id="a file without a suffix first"),
        pytest.param("a.jfif\nb.jpg\n", ["a.jfif", "b.jpg"], id="a suffix that some images have"),
        pytest.param("x/a.jfif\nx/b.jpg\n", ["x/a.jfif", "x/b.jpg"], id="the same, in another folder"),
        pytest.param("1.MOV\n2.MOV\n3.HEIC\n", ["1.MOV", "2.MOV", "3.HEIC"], id="mostly videos"),
        pytest.param("Thumbs.db\na.jpg\nb.jpg\n", ["Thumbs.db", "a.jpg", "b.jpg"], id="a system file"),
        pytest.param("# my photos\na.jpg\n\n# more\nb.jpg\n", ["a.jpg", "b.jpg"], id="comments"),
        pytest.param("1 cat.jpg\n2 dog.jpg\n", ["1 cat.jpg", "2 dog.jpg"], id="names that begin with numbers"),
        pytest.param("1 x\\a.jpg\n2024-01-02 b.jpg\n", ["1 x\\a.jpg", "2024-01-02 b.jpg"], id="and with dates"),
        pytest.param("7 IMG_0001.JPG\nDCIM/2.jpg\n", ["7 IMG_0001.JPG", "DCIM/2.jpg"], id="not all with numbers"),
        pytest.param("8 a.jpg\n9 IMG_0001.JPG\n", ["8 a.jpg", "9 IMG_0001.JPG"], id="one of which exists"),
        pytest.param(f"{'0a' * 16} (1).jpg\n", [f"{'0a' * 16} (1).jpg"], id="a digest as a name"),
        pytest.param("# 1.jpg\n#2.jpg\n", ["# 1.jpg", "#2.jpg"], id="names like comments"),
        pytest.param(
            "Photo 17.01.2026, 14 19 56.jpg\nPhoto 17.01.2026, 14 20 01.jpg\n",
            ["Photo 17.01.2026, 14 19 56.jpg", "Photo 17.01.2026, 14 20 01.jpg"],
            id="commas",
        ),
        pytest.param(
            "./Paris, France/x.jpg\n./Rome, Italy/y.jpg\n",
            ["./Paris, France/x.jpg", "./Rome, Italy/y.jpg"],
            id="commas in folders",
        ),
        pytest.param("cut/1,a.jpg\ncut/2,b.jpg\n", ["cut/1,a.jpg", "cut/2,b.jpg"], id="commas in files that exist"),
        pytest.param(
            '"photos\\nina.jpg"\r\n"photos\\bob.jpg"\r\n', ["photos\\nina.jpg", "photos\\bob.jpg"], id="like escapes"
        ),
        pytest.param(
            '"\\\\nas\\new\\a.jpg"\n"D:\\bilder\\IMG_2.jpg"\n',
            ["\\\\nas\\new\\a.jpg", "D:\\bilder\\IMG_2.jpg"],
            id="only the first is JSON",
        ),
        pytest.param('"D:\\\\new\\\\a.jpg"\n"b.jpg"\n', None, id="strings of JSON"),
    ],
)
def test_each_line_is_a_row(text: str, paths: list[object] | None) -> None:
    if paths is None:
        Path("list.txt").write_text(text)
        lines = [line for line, _ in open_source(Path("list.txt"), "image").lines(START_POSITION)]
        assert lines == [line.encode() for line in text.splitlines()]
    else:
        assert paths_in(text) == paths


@each_case(
    ("text", "message"),
    [
        pytest.param("IMG_0003\nIMG_0004.JPG\n", "line 1 of this list of paths, 'IMG_0003', is not a", id="no suffix"),
        pytest.param("a.jpg*\nb.jpg\n", r"line 1 .*'a.jpg\*', is not a path of an image; remove it", id="ls -F"),
        pytest.param("a.jpg\nb\nc.jpg\n", "line 2 .*'b', is not a path of an image", id="not the first line"),
        pytest.param("DCIM/100APPLE:\n1.jpg\n", "line 1, 'DCIM/100APPLE:', is the heading of a folder", id="ls */*"),
        pytest.param("1.jpg\n2.jpg\n\nsub:\n1.jpg\n", "line 4, 'sub:', is the heading .*; give the folder", id="ls *"),
        pytest.param("sub:\n1.jpg\n\nmore:\n1.jpg\n", "line 1, 'sub:', is the heading", id="ls */"),
        pytest.param(".:\n1.jpg\nsub\n\n./sub:\n1.jpg\n", "line 1, '.:', is the heading", id="ls -R"),
        pytest.param(" Directory of C:\\p\n1.jpg\n2.jpg\n", r"line 1 .*'Directory of C:.p', is not", id="dir"),
        pytest.param("total 8\n-rw-r--r-- 1 u g 9 Jan 1 1:00 a.jpg\n", "other columns than paths; give", id="ls -l"),
        pytest.param("131 IMG_0001.JPG\n132 b.jpg\n", "other columns than paths; give", id="ls -i"),
        pytest.param("4.0K x.jpg\n4.0K DCIM/2.jpg\n", "other columns than paths; give", id="ls -sh"),
        pytest.param(
            "  131    4 -rw-r--r--   1 u  g  9 Jan  1 1:00 ./x.jpg\n", "other columns than paths; give", id="find -ls"
        ),
        pytest.param(f"{'0a' * 16}  x.jpg\n{'1b' * 16}  y.jpg\n", "other columns than paths; give", id="md5sum"),
        pytest.param(f"{'0a' * 32} *x.jpg\n{'1b' * 32} *y.jpg\n", "other columns than paths; give", id="sha256sum -b"),
        pytest.param("-a----   1/2/2024  10:00 AM   12 x.jpg\n", "other columns than paths; give", id="PowerShell"),
        pytest.param("-a---   2024-01-02   10:00   12 x.jpg\n", "other columns than paths; give", id="PowerShell 7"),
        pytest.param("01/02/2024  10:00 AM    1,234 IMG_0001.JPG\n", "other columns than paths; give", id="dir /a-d"),
        pytest.param("p\n├── a.jpg\n└── b.jpg\n", "other columns than paths; give", id="tree"),
        pytest.param("DCIM\nDCIM/1.MOV\nDCIM/2.jpg\n", "line 1 .*'DCIM', is a folder; remove it, or give", id="find"),
        pytest.param("away\naway/1.jpg\naway/2.jpg\n", "line 1 .*'away', is not a path", id="find, elsewhere"),
        pytest.param("picture\n1.jpg\n2.jpg\n", "a table with no column .* add --image-key picture", id="a column"),
        pytest.param("1,a.jpg\n2,b.jpg\n", "a table without a header", id="numbered"),
        pytest.param("a.jpg, b.jpg\nc.jpg, d.jpg\n", "a table without a header", id="pairs"),
        pytest.param("rows:\n- image: a.jpg\n", "seems to be YAML", id="YAML"),
        pytest.param("images:\n- a.jpg\n- b.jpg\n", "seems to be YAML", id="YAML of paths"),
    ],
)
def test_other_texts_with_paths_are_refused_with_the_way(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        paths_in(text)
    assert "\n" not in str(caught.value)


def test_a_heading_further_on_stops_the_reading() -> None:
    """The names below it are in another folder."""
    lines = [f"photos/{number}.jpg" for number in range(5_000)]
    words = "is a listing from line 5002 on, which is 'sub:', the heading of a folder: remove it, and write the names"
    with pytest.raises(SettingsError, match=words):
        paths_in("\n".join([*lines, "", "sub:", "1.jpg"]))
