"""Logins at package mirrors, as files of the seed: no repository file of an image has one.

- apt looks a login up by the host, for all its sources: auth.conf.d (apt_auth.conf(5)), SSLCert and SSLKey.
- yum 3.4 and dnf 4 look in the section of the repository alone: username, password, sslclientcert, sslclientkey
  (urlgrabber's options in yum/yumRepo.py, libdnf/repo/Repo.cpp). A script puts them there.
- curl gets a configuration file per host (node/usr/libexec/imgbuild/lib/login.sh).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from imgbuild.config.cluster import Cluster, Node
from imgbuild.config.profile import Profile, RepositoryLogin
from imgbuild.config.target import Target
from imgbuild.facts.endpoint import Reach
from imgbuild.facts.repository_logins import APT_AUTH, APT_CONF, FOLDER, in_plain, repository_logins
from imgbuild.facts.resolved import Resolved
from imgbuild.render.nodefile import NodeFile, SeedFiles
from imgbuild.render.templates import static

_HEAD = "imgbuild: logins at package mirrors. They came with the seed."


def repository_login_files(resolved: Resolved, cluster: Cluster, node: Node, where: Reach) -> Iterator[SeedFiles]:
    """What the node needs to log in; nothing without ``repositories.logins``."""
    profile, target = resolved.profile, resolved.target
    files = login_tree(profile, target)
    if files:
        repositories = ["/etc/yum.repos.d/imgbuild.repo"] if target.family == "el" else []
        repositories += [file.path for file in profile.files if file.path.startswith("/etc/yum.repos.d/")]
        yield SeedFiles(files, [update(target)], also=list(dict.fromkeys(repositories)))


def login_tree(profile: Profile, target: Target) -> list[NodeFile]:
    """The files with the logins, for a node or for the time of an image build."""
    found = repository_logins(profile)
    files = [file for host, login in found.items() for file in _of_host(host, login)]
    if not files:
        return []
    if target.family == "el":
        return [*files, NodeFile(f"{FOLDER}/repositories", _table(found), 0o600)]
    named = [(host, login) for host, login in found.items() if login.password is not None]
    if named:
        files.append(NodeFile(APT_AUTH, _apt_auth(profile, named), 0o600))
    certified = [host for host, login in found.items() if login.client_key is not None]
    if certified:
        files.append(NodeFile(APT_CONF, _apt_conf(certified)))
    return files


def update(target: Target) -> str:
    """The shell script that makes the package manager use the files that are there, or nothing where none are."""
    name = "rpm" if target.family == "el" else "apt"
    return static("node", f"etc/imgbuild/logins-update-{name}").decode()


def login_file(host: str, kind: str) -> str:
    """The path of a host's ``crt``, ``key`` or ``curl``."""
    return f"{FOLDER}/{host.replace(':', '_')}.{kind}"


def _of_host(host: str, login: RepositoryLogin) -> Iterator[NodeFile]:
    lines = [f"# {_HEAD}"]
    if login.password is not None:
        lines.append(f'user = "{quoted(f"{login.username}:{login.password}")}"')
    if login.client_certificate is not None and login.client_key is not None:
        yield NodeFile(login_file(host, "crt"), login.client_certificate.encode())
        yield NodeFile(login_file(host, "key"), login.client_key.encode(), 0o600)
        lines += [f'cert = "{login_file(host, "crt")}"', f'key = "{login_file(host, "key")}"']
    yield NodeFile(login_file(host, "curl"), _text(lines), 0o600)


def quoted(text: str) -> str:
    r"""A value between the quotes of curl's configuration file, where \ is an escape (curl(1), --config)."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _table(found: Mapping[str, RepositoryLogin]) -> bytes:
    """Host, option and value, separated by tabs, for the script."""
    rows = []
    for host, login in found.items():
        if login.password is not None:
            rows += [(host, "username", login.username or ""), (host, "password", login.password)]
        if login.client_key is not None:
            rows += [(host, "sslclientcert", login_file(host, "crt")), (host, "sslclientkey", login_file(host, "key"))]
    return _text(["\t".join(row) for row in rows])


def _apt_auth(profile: Profile, named: Sequence[tuple[str, RepositoryLogin]]) -> bytes:
    """A slash behind the host: without one apt also sends the login to its other ports (apt-pkg/contrib/netrc.cc)."""
    lines = [f"# {_HEAD}"]
    for host, login in named:
        for scheme in ("https", "http") if in_plain(profile, host) else ("https",):
            lines.append(f"machine {scheme}://{host}/ login {login.username} password {login.password}")
    return _text(lines)


def _apt_conf(hosts: Sequence[str]) -> bytes:
    """apt looks them up by the name alone, without the port: as Acquire::https::NAME::SSLCert (apt-pkg's aptmethod.h,
    ConfigFind). It no longer reads the form of apt-transport-https(1), with the name at the end."""
    lines = [f"// {_HEAD}"]
    for host in hosts:
        name, key = host.partition(":")[0], login_file(host, "key").rpartition("/")[2]
        lines.append(f'Acquire::https::{name}::SSLCert "{login_file(host, "crt")}";')
        lines.append(f'Acquire::https::{name}::SSLKey "{FOLDER}/apt/{key}";')
    return _text(lines)


def _text(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
