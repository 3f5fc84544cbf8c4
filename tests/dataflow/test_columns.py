"""What names pictures in a cell, whatever it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest

from persqa_client.dataflow.cells import is_missing, split_image_cell, to_plain_python
from tests.support.cases import each_case


@each_case(
    ("cell", "found"),
    [
        pytest.param("a.jpg", ["a.jpg"], id="path"),
        pytest.param(Path("a.jpg"), ["a.jpg"], id="Path"),
        pytest.param(["a.jpg", "b.jpg"], ["a.jpg", "b.jpg"], id="list"),
        pytest.param(("a.jpg",), ["a.jpg"], id="tuple"),
        pytest.param(numpy.array(["a.jpg", "b.jpg"], dtype=object), ["a.jpg", "b.jpg"], id="array"),
        pytest.param(numpy.array([["a.jpg"]]), [["a.jpg"]], id="array of arrays is refused later"),
        pytest.param('["a.jpg", "b\\u00e9.jpg"]', ["a.jpg", "bé.jpg"], id="JSON"),
        pytest.param("['a.jpg', \"b's.jpg\"]", ["a.jpg", "b's.jpg"], id="Python"),
        pytest.param("['a.jpg' 'b.jpg'\n 'c.jpg']", ["a.jpg", "b.jpg", "c.jpg"], id="numpy"),
        pytest.param("[a.jpg]", ["[a.jpg]"], id="a file in brackets"),
        pytest.param("[]", [], id="empty list"),
        pytest.param(None, [], id="None"),
        pytest.param(float("nan"), [], id="NaN"),
        pytest.param(pandas.NA, [], id="NA"),
        pytest.param(["a.jpg", None], ["a.jpg"], id="gap"),
        pytest.param(7, [7], id="number stays to be refused"),
        pytest.param(["a.jpg", " "], ["a.jpg"], id="blank"),
        pytest.param({"bytes": b"1", "path": "a.jpg"}, [b"1"], id="datasets, bytes"),
        pytest.param({"bytes": str(b"\xff'\"\0"), "path": None}, [b"\xff'\"\0"], id="datasets, bytes in print"),
        pytest.param(str({"bytes": b"\xff", "path": "a"}), [b"\xff"], id="datasets, CSV"),
        pytest.param("{'bytes': a}", ["{'bytes': a}"], id="a file in braces"),
        pytest.param({"bytes": "b'cut", "path": None}, ["b'cut"], id="no bytes in print stay to be refused"),
        pytest.param({"bytes": None, "path": "a.jpg"}, ["a.jpg"], id="datasets, path"),
        pytest.param([{"bytes": None, "path": None}], [], id="datasets, gap"),
        pytest.param(numpy.array([{"bytes": b"1", "path": None}]), [b"1"], id="datasets, Parquet's list"),
        pytest.param({"url": "a.jpg"}, [{"url": "a.jpg"}], id="another dict stays to be refused"),
    ],
)
def test_a_cell_names_its_pictures(cell: Any, found: list[Any]) -> None:
    assert split_image_cell(cell) == found


def test_arrays_become_lists_at_any_depth() -> None:
    cell = numpy.array([{"from": "human", "value": numpy.array([numpy.int64(1), 2.5])}], dtype=object)
    assert to_plain_python(cell) == [{"from": "human", "value": [1.0, 2.5]}]
    assert type(to_plain_python(numpy.int64(3))) is int


@pytest.mark.parametrize("gap", [None, float("nan"), numpy.float32("nan"), pandas.NaT, pandas.NA])
def test_gaps_are_known_whatever_they_are_called(gap: object) -> None:
    assert is_missing(gap)


@each_case("value", [0, "", [], numpy.array([numpy.nan]), numpy.array([1, 2]), {}, b""])
def test_what_is_there_is_no_gap(value: object) -> None:
    assert not is_missing(value)
