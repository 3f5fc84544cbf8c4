"""Base URLs of endpoints, their form and whether they name this machine; and paths that begin with ``~``."""

from __future__ import annotations

import errno
import ipaddress
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from persqa_client.addresses import parse_host

COMPLETIONS_ROUTE = re.compile(r"(/chat)?/completions$")

# A list of URLs, or of hosts. A comma is allowed in a path.
SEVERAL_URLS = re.compile(r"[\s,;]+https?://|^https?://[^/?#]*[\s,;]", re.IGNORECASE)

# A server without http://.
HOST_WITH_PORT = re.compile(r"[\w.-]+:\d+(?:/v1)?$")


def parse_base_url(url: str) -> tuple[str, str]:
    """The root of the API without a slash at its end, and the query that each request gets. Raises ValueError."""
    if SEVERAL_URLS.search(url.strip()):
        raise ValueError("must be one URL; for several endpoints, repeat the flag")
    url, _, query = url.strip().partition("?")
    url = url.rstrip("/")
    try:
        parts = urlsplit(url)
        well_formed = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        # An IPv6 address without brackets, or a port that is not a number.
        well_formed = False
    if not well_formed:
        meant = f" (did you mean http://{url.removesuffix('/v1')}/v1?)" if HOST_WITH_PORT.match(url) else ""
        raise ValueError(f"must look like http://HOST:PORT/v1{meant}")
    if parts.username or parts.password:
        raise ValueError("must not hold a user name or password; use --api-key-env instead")
    if parts.fragment or "#" in query:
        raise ValueError("must not have a fragment (#)")
    if problem := find_url_problem(url):
        raise ValueError(f"is not a valid address ({problem})")
    if (root := COMPLETIONS_ROUTE.sub("", url)) != url:
        raise ValueError(f"must be the root of the API, {add_query(root, query)}, not one of its routes")
    return url, query


def find_url_problem(url: str) -> str:
    """Why the HTTP client refuses a URL, such as one with the host 010.0.0.1; empty if it accepts it."""
    # Imported here: commands that send nothing don't need it.
    import httpx2

    try:
        httpx2.URL(url)
    except httpx2.InvalidURL as error:
        return str(error)
    return ""


def add_query(url: str, query: str) -> str:
    return f"{url}?{query}" if query else url


def is_loopback(url: str) -> bool:
    """Whether the host is this machine. Requests to it bypass proxies."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = parse_host(host)
    if address is None:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    # A connection to the unspecified address, 0.0.0.0 or ::, reaches this machine.
    return address.is_loopback or address.is_unspecified


def expand_home(path: str | Path) -> Path:
    """Replaces ``~``, which a shell leaves in quotes and after ``=``, unless a folder has this name. Without such a
    user, the path stays as it is.
    """
    path = Path(path)
    is_home = str(path).startswith("~") and not Path(path.parts[0]).exists()
    return Path(os.path.expanduser(path)) if is_home else path


def explain_impossible_path(path: str | Path) -> str | None:
    """Why no file can have this path, or be reached by it; None if one can."""
    try:
        os.lstat(path)
    except ValueError:  # a NUL, or half of a character
        return "has a character that no file name can have"
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return "is too long for the name of a file"
        if error.errno in (errno.EACCES, errno.ELOOP):
            return f"can't be reached ({error.strerror}), because of a folder above it"
    return None


def explain_unreachable_path(path: str | Path) -> str | None:
    """Why it is not known whether a path exists, such as a folder that may not be searched; None if it is known."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError as error:
        return None if error.errno == errno.ENAMETOOLONG else error.strerror or type(error).__name__
    return None
