"""The site: proxy, certificate authorities, names."""

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR
WARNING = Severity.WARNING

CODES = (
    Code(
        "IB490",
        WARNING,
        "A proxy for a part of the addresses",
        why=(
            "Packages come from http and https addresses, images and charts from https addresses. Programs do not use "
            "the proxy of the one for the other."
        ),
        fix="Set `proxy.http` and `proxy.https`, usually to the same address.",
        bad="proxy: {http: 'http://proxy.example.com:3128'}",
        good="proxy: {http: 'http://proxy.example.com:3128', https: 'http://proxy.example.com:3128'}",
    ),
    Code(
        "IB491",
        ERROR,
        "A certificate of an authority is not valid now",
        why="What the authority has signed would be refused.",
        fix="Give its current certificate.",
        lesser=WARNING,
        when="it expires within 30 days",
        setup="A certificate that expired a year ago is in `trust.certificates`.",
    ),
    Code(
        "IB492",
        WARNING,
        "A certificate of an authority is given twice",
        why="The second one has no effect.",
        fix="Remove one of them.",
        setup="The same certificate is in `trust.certificates` twice.",
    ),
    Code(
        "IB493",
        WARNING,
        "A proxy set by hand",
        why=(
            "A file reaches one program, and nothing before it is written. Without the nodes, the cluster's networks "
            "and its names in NO_PROXY, programs would ask the proxy for them."
        ),
        fix="Use `proxy`: it is for every program, and NO_PROXY is derived.",
        bad='files: [{path: /etc/environment, content: "HTTPS_PROXY=http://proxy.example.com:3128\\n"}]',
        good="proxy: {http: 'http://proxy.example.com:3128', https: 'http://proxy.example.com:3128'}",
    ),
    Code(
        "IB494",
        WARNING,
        "A certificate authority trusted by hand",
        why=(
            "In the image build and in stock mode packages and archives are fetched before the file is there or the "
            "command has run, and programs that run already do not notice it."
        ),
        fix="Use `trust.certificates`.",
        bad="run: [update-ca-trust]",
        good="run: [echo hello]",
    ),
    Code(
        "IB495",
        ERROR,
        "Nodes cannot resolve the endpoint's name",
        why="A node without a DNS server knows the names in `/etc/hosts` alone. It would wait for the control plane.",
        fix="Set `hosts`, for all nodes in `settings` of the cluster file, or `dns` in the nodes' network.",
        bad_cluster="""
            endpoint: k8s.example.com:6443
            nodes:
              - name: cp1
                role: control-plane
                network:
                  interfaces:
                    - {name: eth0, mac: '52:54:00:00:00:01', addresses: [10.0.0.11/24], gateway: 10.0.0.1}
        """,
        good_cluster="""
            endpoint: k8s.example.com:6443
            settings: {hosts: {k8s.example.com: 10.0.0.11}}
            nodes:
              - name: cp1
                role: control-plane
                network:
                  interfaces:
                    - {name: eth0, mac: '52:54:00:00:00:01', addresses: [10.0.0.11/24], gateway: 10.0.0.1}
        """,
        also=("IB425",),
    ),
    Code(
        "IB496",
        ERROR,
        "A name with an address that cannot be meant",
        why="The name would lead nowhere, or each node to itself.",
        fix="Write the address of the machine.",
        lesser=WARNING,
        when="the address is a loopback address",
        bad="hosts: {registry.example.com: 0.0.0.0}",
        good="hosts: {registry.example.com: 10.0.0.5}",
    ),
    Code(
        "IB497",
        ERROR,
        "The server of `cloud.include_url` is known by `hosts` alone",
        why=(
            "A node fetches its files in cloud-init's `bootcmd`, which runs before files are written: /etc/hosts does "
            "not have the name yet."
        ),
        fix="Write the address in the URL, or add the name to your DNS.",
        bad="""
            mode: stock
            hosts: {files.lab.example: 10.0.0.5}
            cloud: {include_url: 'http://files.lab.example/files.tar.gz'}
        """,
        good="""
            mode: stock
            hosts: {files.lab.example: 10.0.0.5}
            cloud: {include_url: 'http://10.0.0.5/files.tar.gz'}
        """,
    ),
    Code(
        "IB498",
        WARNING,
        "`cloud.include_url` is fetched before the certificates of `trust` are there",
        why=(
            "A node fetches its files in cloud-init's `bootcmd`, with the certificates that its cloud image has: it "
            "does not reach a server, or a proxy that inspects traffic, whose authority is yours."
        ),
        fix="Publish the file under http://: its sha256 is in the seed.",
        setup="A certificate is in `trust.certificates`, and `cloud.include_url` begins with https:// in stock mode.",
    ),
)
"""The rows of this family."""
