"""Logins at package mirrors: whole, valid, used by something, and readable by every program that asks there."""

from __future__ import annotations

import datetime
import re

from imgbuild.checks import early
from imgbuild.checks.context import Context
from imgbuild.config import certificates
from imgbuild.config.layers import closest
from imgbuild.config.profile import RepositoryLogin
from imgbuild.diagnostics.findings import Path
from imgbuild.facts.repository_logins import APT_AUTH, APT_CONF, by_helm, fetched, host_of, in_plain, repository_logins

# What yum and dnf put in place of in any value of a repository file.
_VARIABLE = re.compile(r"\$\{?(?:basearch|releasever|arch|uuid|infra|contentdir|stream|YUM[0-9])\b")
_OWN = ("/etc/yum.repos.d/", "/etc/yum.conf", "/etc/dnf/", "/etc/apt/", "/etc/pki/rpm-gpg/")
_LOGIN = re.compile(
    r"(?im)https?://[^\s/@]+@|^\s*(?:username|password|sslclientkey)\s*=|^\s*machine\s.*\bpassword\s|\bSSLKey\b"
)


def check(context: Context) -> None:
    """All findings about ``repositories.logins``, and about logins that are elsewhere."""
    logins = repository_logins(context.profile)
    used = {host_of(url) for _, url in fetched(context.profile)}
    for host, login in logins.items():
        path: Path = ("repositories", "logins", host)
        _whole(context, path, login)
        _characters(context, path, login)
        _certificate(context, path, login)
        _plain(context, path, host, login)
        if host not in used and not any(host in file.text for file in context.profile.files):
            context.report(
                "IB539", path, f"nothing is fetched from {host}: this login is not used",
                closest(host, sorted(used)) or "write the host as it is in the address, with its port, or remove it",
                of_key=True,
            )  # fmt: skip
    for place, url in by_helm(context.profile):
        if host_of(url) in logins:
            context.report(
                "IB543", place, f"helm does not use the login at {host_of(url)}: first boot could not fetch the chart",
                (
                    "set cilium.chart to the chart's urls and sha256, which are fetched with it" if place[0] == "cilium"
                    else "write url and sha256 of the chart's archive in place of repository, fetched with it"
                )
                + "; index.yaml of the repository has them as urls and digest",
            )  # fmt: skip
    if context.target.package_manager == "apt":
        _one_certificate(context)
    else:
        _one_login(context)
    _elsewhere(context)


def _whole(context: Context, path: Path, login: RepositoryLogin) -> None:
    pairs = (("username", login.username, "password", login.password),
             ("client_certificate", login.client_certificate, "client_key", login.client_key))  # fmt: skip
    for one, value, other, also in pairs:
        if (value is None) != (also is None):
            there, lacks = (one, other) if also is None else (other, one)
            context.report(
                "IB535", (*path, lacks), f"{there} without {lacks}",
                f"write {lacks} too" + (": {file: PATH}" if lacks in ("password", "client_key") else ""),
            )  # fmt: skip
    if login == RepositoryLogin():
        context.report(
            "IB535", path, "this login is empty",
            "write username and password, or client_certificate and client_key", of_key=True,
        )  # fmt: skip


def _characters(context: Context, path: Path, login: RepositoryLogin) -> None:
    """Files of apt, yum, dnf and curl separate their words by blanks; Basic authentication separates at a colon."""
    apt = context.target.package_manager == "apt"
    for key, value in (("username", login.username), ("password", login.password)):
        found = ""
        if value is None:
            continue
        if any(c.isspace() or ord(c) < 32 for c in value):
            found = "a blank"
        elif not value.isascii():
            found = "a letter that is not ASCII, which servers read differently"
        elif key == "username" and ":" in value:
            found = "a colon, which ends the name"
        elif not apt and ("%(" in value or _VARIABLE.search(value)):
            found = "what yum and dnf replace: %( or one of their variables"
        if found:
            context.report(
                "IB540", (*path, key), f"the {key} has {found}",
                "ask for an access token in its place, which has letters and digits alone"
                if key == "password" else "use another account",
            )  # fmt: skip


def _certificate(context: Context, path: Path, login: RepositoryLogin) -> None:
    if login.client_certificate is None:
        return
    certificate = certificates.parsed(certificates.split(login.client_certificate)[0])
    name, where = certificate.name, (*path, "client_certificate")
    now = datetime.datetime.fromtimestamp(context.moment.now, datetime.UTC)
    end, start = certificate.end, certificate.start
    if end <= now:
        context.report("IB537", where, f"{name} has expired on {end:%Y-%m-%d}", "ask for a new certificate")
    elif end <= now + early.CERTIFICATE:
        context.report(
            "IB537", where, f"{name} expires on {end:%Y-%m-%d}", "ask for its successor, and build the seeds again",
            lesser=True,
        )  # fmt: skip
    elif start > now:
        context.report("IB537", where, f"{name} is valid only from {start:%Y-%m-%d} on", "check this machine's clock")
    if login.client_key is None:
        return
    key = certificates.parsed_key(login.client_key)
    if key.public != certificate.public_key:
        context.report(
            "IB536", (*path, "client_key"), f"this key is not that of {name}",
            "give the key that the certificate was requested with; the machine's own certificate comes first in "
            "client_certificate",
        )  # fmt: skip
    elif context.target.package_manager == "yum" and not key.rsa:
        # curl is built with NSS there, which reads keys from files with nss-pem: RSA alone (src/prsa.c).
        context.report(
            "IB546",
            (*path, "client_key"),
            "yum and curl of CentOS 7 read RSA keys alone",
            "ask for one with an RSA key",
        )


def _plain(context: Context, path: Path, host: str, login: RepositoryLogin) -> None:
    if not in_plain(context.profile, host):
        return
    if login.password is not None:
        context.report(
            "IB538", (*path, "password"), f"the login at {host} goes over http: anyone on the network path can read it",
            "use https addresses",
        )  # fmt: skip
    if login.client_certificate is not None:
        context.report(
            "IB538", (*path, "client_certificate"), f"{host} is reached over http, where no certificate is shown",
            "use https addresses",
        )  # fmt: skip


def _one_login(context: Context) -> None:
    """yum and dnf send a repository's login to each of its addresses: another host must not get it."""
    logins = repository_logins(context.profile)
    for name, urls in context.resolved.repository_urls.items():
        given = {host_of(url): logins.get(host_of(url)) for url in urls}
        if len({repr(login and login.model_dump()) for login in given.values()}) > 1:
            asks = [host for host, login in given.items() if login is not None]
            context.report_whole(
                "IB544", ("repositories", name),
                "yum and dnf have one login for all addresses of a repository, and not all have that of "
                f"{' or '.join(asks)}: {name} would get none",
                f"write repositories.{name} with addresses at one host",
            )  # fmt: skip


def _one_certificate(context: Context) -> None:
    """apt looks a certificate up by the name, without the port."""
    seen: dict[str, RepositoryLogin] = {}
    for host, login in repository_logins(context.profile).items():
        if login.client_key is None:
            continue
        other = seen.setdefault(host.partition(":")[0], login)
        if (other.client_certificate, other.client_key) != (login.client_certificate, login.client_key):
            context.report(
                "IB544", ("repositories", "logins", host, "client_certificate"),
                f"another certificate than at another port of {host.partition(':')[0]}: apt knows one for a name",
                "give both the same one, or another name in hosts",
            )  # fmt: skip


def _elsewhere(context: Context) -> None:
    profile = context.profile
    if profile.base.source is not None and re.match(r"https?://[^/]*@", profile.base.source):
        context.report(
            "IB545", ("base", "source"), "the address has a login, which whoever reads the profile has",
            "remove it from the address, and write it in repositories.logins: {HOST: {username: NAME, "
            "password: {file: PATH}}}",
        )  # fmt: skip
    for index, file in enumerate(profile.files):
        if file.path in (APT_AUTH, APT_CONF) and repository_logins(profile):
            context.report(
                "IB545", ("files", index, "path"), f"the seed has {file.path} too, with the logins of the profile",
                "use another name in that folder",
            )  # fmt: skip
        elif file.path.startswith(_OWN) and _LOGIN.search(file.text):
            where = "the image and every node" if profile.mode == "baked" else "every node"
            context.report(
                "IB545", ("files", index, "path"), f"{file.path} has a login, which is then part of {where}",
                "remove it there, and write repositories.logins: {HOST: {username: NAME, password: {file: PATH}}}: it "
                "is put there for the hosts in this file too",
            )  # fmt: skip
