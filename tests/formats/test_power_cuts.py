"""After a power failure there is a whole export or none, or the earlier one; the same command makes it again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.formats.examples import make_rows, write_run
from tests.formats.test_export import export
from tests.storage.power_cut import lay_out, watch_disk


def read_tree(folder: Path) -> dict[str, bytes | None]:
    """What is seen in a folder, without hidden names; None is a folder."""
    return {
        path.relative_to(folder).as_posix(): None if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def check_exports(folder: Path, target: str, layout: str, *, every: int, seed: int | None, before: int) -> None:
    """An export of three rows, over one of ``before`` rows."""
    run, earlier = write_run(folder / "run", make_rows(3)), {}
    (folder / "whole").mkdir()
    if before:
        export(write_run(folder / "earlier", make_rows(before)), folder / "whole" / target, layout)
        earlier = read_tree(folder / "whole")
    history = watch_disk(folder / "whole", lambda place: export(run, place / target, layout, force=True))
    after = read_tree(folder / "whole")
    assert after != earlier
    allowed = [earlier, after, {}]
    described = f"{target}.export.json"
    if described in after:
        # The description of a file comes first.
        allowed += [{described: tree[described]} for tree in (earlier, after) if tree]
    count = 0
    for count, state in enumerate(history.iterate_states(seed, every), 1):
        copy = lay_out(folder / "copy", state)
        assert read_tree(copy) in allowed, count
        export(run, copy / target, layout, force=True)
        assert read_tree(copy) == after
        shutil.rmtree(copy)
    assert count > 10


@pytest.mark.parametrize("layout", ["llava", "webdataset", "captions", "parquet"])
def test_a_folder_is_whole_or_not_there(layout: str, memory_path: Path) -> None:
    check_exports(memory_path, "data", layout, every=3, seed=None, before=0)


@pytest.mark.parametrize("target", ["data", "data.json"])
def test_what_replaces_an_export_is_whole(target: str, memory_path: Path) -> None:
    check_exports(memory_path, target, "llava", every=2, seed=None, before=2)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [None, 1, 2, 3])
@pytest.mark.parametrize("target", ["data", "data.json"])
@pytest.mark.parametrize("layout", ["llava", "webdataset", "captions", "parquet"])
def test_every_state_is_whole(layout: str, target: str, seed: int | None, memory_path: Path) -> None:
    if target == "data" or layout == "llava":
        check_exports(memory_path, target, layout, every=1, seed=seed, before=2)
