"""Pictures of a folder or a pattern in an object store: ``s3://bucket/photos``, ``s3://bucket/photos/*.jpg``."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from persqa_client.errors import SettingsError
from persqa_client.images.formats import IMAGE_SUFFIXES
from persqa_client.inputs.folders import describe_other_files, sort_key
from persqa_client.inputs.listed import ListedSource, is_never_known
from persqa_client.inputs.packed_files import DATA_FOLDER, PACKED_SUFFIXES
from persqa_client.inputs.sources import ImagesSource, Source
from persqa_client.jsonl import dump_spaced
from persqa_client.stores.access import explain_store_error, has_wildcard, list_objects, lower_scheme, read_status
from persqa_client.stores.paths import ObjectPath, name_store


class StoredNames(NamedTuple):
    """Names as seen from a folder, in natural order."""

    images: list[str]
    others: list[str]


class StoredPlace(NamedTuple):
    """``pattern`` is as seen from the folder, and empty for all files below it."""

    folder: str
    pattern: str

    @property
    def url(self) -> str:
        return f"{self.folder}/{self.pattern}" if self.pattern else self.folder

    def list_names(self) -> StoredNames:
        """Raises SettingsError if the store does not list them."""
        try:
            listed = list_objects(self.folder, self.pattern)
            names = [name for name, size in listed if size or is_image_name(name)]
        except SettingsError:
            raise
        except Exception as error:  # each store has its own exceptions
            raise SettingsError(f"{self.url} can't be listed: {explain_store_error(error)}.") from error
        visible = sorted((name for name in names if not is_hidden(name)), key=sort_key)
        images = [name for name in visible if is_image_name(name)]
        known = set(images)
        return StoredNames(images, [name for name in visible if name not in known])


def split_pattern(url: str) -> StoredPlace:
    scheme, _, rest = url.partition("://")
    parts = rest.strip("/").split("/")
    plain = list(takewhile(lambda part: not has_wildcard(part), parts))
    return StoredPlace(f"{scheme.lower()}://{'/'.join(plain)}", "/".join(parts[len(plain) :]))


def is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def is_image_name(name: str) -> bool:
    """By the suffix: the files are not opened."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


class StoredImagesSource(ListedSource):
    """Images as rows ``{image_key: [URL]}``. They are listed once in a process."""

    def __init__(self, name: str, place: StoredPlace, image_key: str, names: StoredNames | None = None) -> None:
        super().__init__()
        self.name = name
        self.pattern = place.pattern
        self._place = place
        self._image_key = image_key
        self._listed = names

    @property
    def root(self) -> str:
        return self._place.folder

    def locate(self, name: str) -> str:
        """A name may begin with a slash, and is no path of this machine then."""
        return f"{self.root}/{name}"

    def _list(self) -> StoredNames:
        if self._listed is None:
            self._listed = self._place.list_names()
        return self._listed

    def find_names(self, is_known: Callable[[str], bool]) -> Iterator[str]:
        return (name for name in self._list().images if not is_known(name))

    def render_line(self, name: str) -> bytes:
        return dump_spaced({self._image_key: [self.locate(name)]})

    def find_name(self, reference: str) -> str | None:
        start = f"{self.root}/"
        return reference.removeprefix(start) if reference.startswith(start) else None

    def warnings(self) -> tuple[str, ...]:
        others = Counter(os.path.splitext(name)[1].lower() or "no suffix" for name in self._list().others)
        return (f"{self.name}: {describe_other_files(others)}",) if others else ()

    def as_written(self) -> Source:
        return ImagesSource([self.locate(name) for name in self.find_names(is_never_known)], self._image_key)


def make_object_path(url: str) -> ObjectPath:
    """Raises SettingsError for a URL that would become the one of another file, because paths have no empty names. If
    nothing has the URL as it is, the slashes are only written twice, as on a disk.
    """
    path = ObjectPath(url)
    # A bucket has a name, so the slash before it changes nothing.
    scheme, separator, rest = lower_scheme(url).partition("://")
    if str(path) != f"{scheme}{separator}{rest.removeprefix('/').rstrip('/')}" and may_exist(url):
        correct = f"give {path}, which exists" if path.exists() else "correct the URL"
        raise SettingsError(
            f"The input {url} has an empty name or the name '.' between two slashes: {correct}, or copy the file to "
            "another name."
        )
    return path


def may_exist(url: str) -> bool:
    """False if the store has neither a file nor a folder with exactly this URL."""
    try:
        read_status(url)
    except FileNotFoundError:
        return False
    except Exception:  # each store has its own exceptions
        return True
    return True


def open_stored(name: str, image_key: str, open_rows_file: Callable[[Path], Source]) -> Iterator[Source]:
    """The sources of a file, a folder or a pattern. ``open_rows_file`` opens a file of rows. Raises SettingsError."""
    path = ObjectPath(name) if has_wildcard(name) else make_object_path(name)
    if path.exists():
        if path.is_dir():
            yield from open_stored_folder(name, path, image_key, open_rows_file)
        else:
            yield ImagesSource([str(path)], image_key) if is_image_name(path.name) else open_rows_file(path)
    elif has_wildcard(name):
        yield from open_stored_pattern(name, image_key, open_rows_file)
    else:
        raise missing_object_error(path)


def open_stored_folder(
    name: str, path: ObjectPath, image_key: str, open_rows_file: Callable[[Path], Source]
) -> Iterator[Source]:
    """Images come first, as in a folder on a disk."""
    place = StoredPlace(str(path), "")
    names = place.list_names()
    files = [] if names.images else find_stored_data(place.folder, names)
    if files:
        yield from map(open_rows_file, map(make_object_path, files))
    else:
        yield StoredImagesSource(name, place, image_key, names)


def open_stored_pattern(name: str, image_key: str, open_rows_file: Callable[[Path], Source]) -> Iterator[Source]:
    place = split_pattern(name)
    names = place.list_names()
    if not names.images and not names.others:
        raise SettingsError(f"The pattern {name} matches no file; correct the URL.")
    if not names.others:
        yield StoredImagesSource(name, place, image_key, names)
        return
    yield from (open_rows_file(make_object_path(f"{place.folder}/{each}")) for each in names.others)
    if names.images:
        yield ImagesSource([f"{place.folder}/{each}" for each in names.images], image_key)


def find_stored_data(folder: str, names: StoredNames) -> list[str]:
    """The URLs of files of many rows, in the folder or in ``data/``, as of a data set of the Hub."""
    packed = [name for name in names.others if name.lower().endswith(PACKED_SUFFIXES)]
    for start in ("", f"{DATA_FOLDER}/"):
        if found := [name for name in packed if name.startswith(start) and "/" not in name[len(start) :]]:
            return [f"{folder}/{name}" for name in found]
    return []


def missing_object_error(path: ObjectPath) -> SettingsError:
    """Says whether the bucket is missing, too."""
    store = name_store(str(path))
    if store == str(path).rstrip("/") or not ObjectPath(store).exists():
        return SettingsError(f"The input {path} does not exist: there is no {store}; correct the URL.")
    return SettingsError(f"The input {path} does not exist in {store}; correct the URL.")
