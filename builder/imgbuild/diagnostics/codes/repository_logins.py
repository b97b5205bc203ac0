"""Logins at package mirrors."""

# ruff: noqa: E501  (examples)

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR
WARNING = Severity.WARNING
_GOOD = "repositories: {elrepo: ['https://example.org/elrepo/kernel/el7/x86_64/']}"

CODES = (
    Code(
        "IB535",
        ERROR,
        "A login at a mirror is incomplete",
        why="It is a username with its password, or a client certificate with its key, or both pairs.",
        fix="Write what is missing.",
        bad="""
            repositories: {elrepo: ['https://example.org/elrepo/kernel/el7/x86_64/'], logins: {example.org: {username: n}}}
        """,
        good=_GOOD,
    ),
    Code(
        "IB536",
        ERROR,
        "A key that is not its client certificate's",
        why="The mirror would refuse every connection.",
        fix="Give the key that the certificate was requested with.",
        setup="`repositories.logins` has a certificate with the key of another one.",
    ),
    Code(
        "IB537",
        ERROR,
        "A client certificate is not valid now",
        why="The mirror refuses it.",
        fix="Ask for a new one.",
        lesser=WARNING,
        when="it expires within 30 days",
        setup="A certificate that expired a year ago is in `repositories.logins`.",
    ),
    Code(
        "IB538",
        WARNING,
        "A login at a mirror goes over http",
        why="Anyone on the network path can read a password, and http has no certificates.",
        fix="Use https.",
        bad="""
            repositories: {elrepo: ['http://example.org/elrepo/kernel/el7/x86_64/'], logins: {example.org: {username: n, password: hunter2}}}
        """,
        good=_GOOD,
        also=("IB118",),
    ),
    Code(
        "IB539",
        WARNING,
        "A login at a host that nothing is fetched from",
        why="A login belongs to a host with its port, as the address has them: programs look it up by that.",
        fix="Write the host as it is in the address.",
        bad="""
            repositories: {elrepo: ['https://example.org:8443/elrepo/kernel/el7/x86_64/'], logins: {example.org: {username: n, password: hunter2}}}
        """,
        good=_GOOD,
        also=("IB118",),
    ),
    Code(
        "IB540",
        ERROR,
        "A name or a password that some program would misread",
        why="apt, yum, dnf and curl read logins from files in which blanks separate words, and yum and dnf replace variables there.",
        fix="Use an access token of letters and digits, or another account.",
        bad="""
            repositories: {elrepo: ['https://example.org/elrepo/kernel/el7/x86_64/'], logins: {example.org: {username: n, password: hunter 2}}}
        """,
        good=_GOOD,
        also=("IB118",),
    ),
    Code(
        "IB543",
        ERROR,
        "A chart from a repository that asks for a login",
        why="helm does not use the logins of `repositories.logins`.",
        fix="Give the address and the sha256 of the chart's archive: it is fetched with the login.",
        bad="""
            cilium: {repository: 'https://example.org/charts'}
            repositories: {elrepo: ['https://example.org/elrepo/kernel/el7/x86_64/'], logins: {example.org: {username: n, password: hunter2}}}
        """,
        good=_GOOD,
        also=("IB118",),
    ),
    Code(
        "IB544",
        ERROR,
        "Two logins where a program has one",
        why="yum and dnf have one login for all addresses of a repository, and would send it to the others too; apt has one client certificate for a name, without its port.",
        fix="Use addresses at one host, or the same login.",
        bad="""
            repositories: {elrepo: ['https://example.org/elrepo/kernel/el7/x86_64/', 'https://other.example.org/elrepo/kernel/el7/x86_64/'], logins: {example.org: {username: n, password: hunter2}}}
        """,
        good=_GOOD,
        also=("IB118",),
    ),
    Code(
        "IB545",
        WARNING,
        "A login in an address or in a repository file",
        why="Whoever reads the profile has it, and so has the image.",
        fix="Write it in `repositories.logins`. It is used for repositories in your own files, too.",
        bad="""
            files: [{path: /etc/yum.repos.d/corp.repo, content: "[corp]\\nname=corp\\nbaseurl=https://n:hunter2@example.org/\\n"}]
        """,
        good="""
            files: [{path: /etc/yum.repos.d/corp.repo, content: "[corp]\\nname=corp\\nbaseurl=https://example.org/\\n"}]
        """,
    ),
    Code(
        "IB546",
        ERROR,
        "A client key that CentOS 7 cannot read",
        why="Its curl and yum are built with NSS, which reads RSA keys alone from files.",
        fix="Ask for a certificate with an RSA key.",
        setup="`repositories.logins` has an EC key, on CentOS 7.",
    ),
)
"""The rows of this family."""
