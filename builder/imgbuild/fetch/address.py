"""Addresses: how they are shown, where a redirect may lead, which host gets a login."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from imgbuild.fetch.failure import Failure

SCHEMES = ("http", "https")


def shown(url: str) -> str:
    """The address as it may be printed: without login, query and fragment, which can have keys."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "(an address that cannot be read)"
    return "".join(c if c.isprintable() else "?" for c in urlunsplit((parts.scheme, host, parts.path, "", "")))


def split(url: str) -> tuple[str, dict[str, str]]:
    """The address without its login and fragment, and the header with the login.

    Raises:
        Failure: it is not an http or https address with a host.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        login, _, place = parts.netloc.rpartition("@")
        if host:
            host.encode("idna" if ":" not in host else "ascii")
    except ValueError:  # a port that is not a number, half of an IPv6 address, a label of more than 63 letters
        raise Failure(f"{shown(url)} is not a valid address") from None
    if parts.scheme not in SCHEMES:
        raise Failure(f"{parts.scheme or 'an address without a scheme'} is not fetched: only http and https are")
    if not host or port == 0 or any(c.isspace() or ord(c) < 32 for c in url):
        raise Failure(f"{shown(url)} is not a valid address")
    headers = {}
    if login:
        try:
            headers = {"authorization": basic(login)}
        except UnicodeError:
            raise Failure(f"the login for {host} has a character that HTTP cannot transmit") from None
    return urlunsplit((parts.scheme, place, parts.path or "/", parts.query, "")), headers


def basic(login: str) -> str:
    """The header's value for the login of an address (RFC 7617).

    Raises:
        UnicodeError: it has a character that HTTP cannot transmit.
    """
    return f"Basic {b64encode(unquote(login).encode('latin-1')).decode()}"


def redirected(url: str, location: str | None) -> str:
    """Where a redirect from ``url`` leads. Its login, if it has one, is not used.

    Raises:
        Failure: to an address that is not followed.
    """
    if not location:
        raise Failure("the server redirects, but sends no address")
    try:
        target = urlsplit(urljoin(url, location))
        target = target._replace(netloc=target.netloc.rpartition("@")[2], fragment="")
        scheme = target.scheme
    except ValueError:
        raise Failure("the server redirects to something that is not an address") from None
    if scheme not in SCHEMES:
        raise Failure(f"the server redirects to {scheme or 'something'}: only http and https are followed")
    if url.startswith("https:") and scheme == "http":
        raise Failure(f"the server redirects from https to {shown(urlunsplit(target))}, which is not encrypted")
    return urlunsplit(target)


def same_origin(one: str, two: str) -> bool:
    """Whether both are the same scheme, host and port."""
    ports = {"http": 80, "https": 443}
    a, b = urlsplit(one), urlsplit(two)
    try:
        return (a.scheme, a.hostname, a.port or ports[a.scheme]) == (b.scheme, b.hostname, b.port or ports[b.scheme])
    except (ValueError, KeyError):
        return False
