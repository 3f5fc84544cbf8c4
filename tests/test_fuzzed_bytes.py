"""Bytes that others wrote crash and hang nothing: rows, replies of servers, answers, pictures, files of a run.

Found inputs that once did are in ``tests/corpus``, one file each, in the folder of their target.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.fuzz_targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
FEW, MANY = 40, 1000


@st.composite
def changed_bytes(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """A seed with parts replaced, removed, repeated or put in; or any bytes."""
    data = draw(st.sampled_from([*seeds, b""]))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 16)))
        new = draw(st.one_of(st.binary(max_size=8), st.just(data[start:end] * 2), st.sampled_from(SPECIAL)))
        data = data[:start] + new + data[end:]
    return data


SPECIAL = (
    *(b"\0", b"\xff", b"\xed\xa0\x80", b'"', b"\\ud800", b"{", b"}", b"[", b"]", b"null", b"-1", b"1e999", b"NaN"),
    *(b"9" * 40, b"<mam>", b"\n", b"\r\n", b"\xef\xbb\xbf", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"true"),
)


@pytest.mark.parametrize("name", TARGETS)
def test_changed_bytes_do_no_harm(name: str) -> None:
    try_bytes(name, FEW)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", TARGETS)
def test_many_changed_bytes_do_no_harm(name: str) -> None:
    try_bytes(name, MANY)


def try_bytes(name: str, count: int) -> None:
    target = TARGETS[name]

    @settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck))
    @given(changed_bytes(target.seeds))
    def check(data: bytes) -> None:
        target.run(data)

    check()


@pytest.mark.parametrize("path", sorted(CORPUS.rglob("*.bin")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_once_did_harm_does_none(path: Path) -> None:
    TARGETS[path.parent.name].run(path.read_bytes())


def test_the_corpus_has_a_folder_of_no_other_name() -> None:
    assert {path.parent.name for path in CORPUS.rglob("*.bin")} <= TARGETS.keys()
