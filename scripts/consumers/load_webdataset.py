"""Loads exports with ``webdataset``. usage: load_webdataset.py EXPORTS"""

# mypy: ignore-errors
# The project's environment does not have the package.

import sys
from pathlib import Path

import webdataset
from exported import Exports, LoadedRow
from PIL import Image


def load_archives(folder):
    names = sorted(map(str, folder.glob("*.tar")))
    return [read_sample(sample) for sample in webdataset.WebDataset(names, shardshuffle=False).decode("pil")]


def read_sample(sample):
    pictures = {key: value for key, value in sample.items() if isinstance(value, Image.Image)}
    # All parts but the pictures and the fields are the library's own.
    others = {key for key in sample if key not in pictures}
    assert others <= {"json", "__key__", "__url__", "__local_path__"}, others
    # If there are several pictures, each has its number.
    names = sorted(pictures, key=lambda name: int(name.split(".")[0]) if "." in name else 0)
    sizes = [pictures[name].size for name in names]
    return LoadedRow(sizes, sample["json"]["question"], sample["json"]["answer"])


if __name__ == "__main__":
    exports = Exports(Path(sys.argv[1]), "webdataset")
    exports.check("webdataset", load_archives, "WebDataset(…).decode('pil')")
    exports.check("webdataset-alike", load_archives, "WebDataset(…).decode('pil')")
    sys.exit(exports.has_failed)
