"""Several control planes: each API server holds all objects and passes its changes on, in etcd's place.

Of each object the newest revision wins, so members that write different objects at the same time lose nothing. As with
etcd, nothing works while half of the members are away, and nobody listens to a member that was taken out.
"""

from __future__ import annotations

import hashlib
import socket
import threading
import time
import urllib.parse
from typing import Any

from tests.support.cluster.standins import place
from tests.support.cluster.standins.api.store import Store
from tests.support.cluster.standins.client import ApiError, Client

_MEMBERS = ("standin", "members", "", "etcd")
PORT = 2379


class NoQuorum(Exception):  # noqa: N818 - etcd's own word
    """Half of the members or more are away."""


class Members:
    """The API servers, by their URLs. Each stands for the etcd on its node, too."""

    def __init__(self, store: Store, own: str) -> None:
        self._store, self._own = store, own
        self._dirty = threading.Event()
        self._seen: dict[str, tuple[float, bool]] = {}
        if not self.listed():  # the first one; a further one finds itself in what it was given
            self._list([own])
        store.told = self._dirty.set
        threading.Thread(target=self._pass_on, daemon=True).start()

    def listed(self) -> list[str]:
        return list((self._store.get(_MEMBERS) or {"servers": []})["servers"])

    def take(self, data: dict[str, Any] | None) -> dict[str, Any]:
        """What another member sends: its newer objects, or that one joins or leaves. The answer is all of ours."""
        if data and "join" in data:
            self.need_quorum()
            if data["join"] in self.listed():
                raise ValueError("tocommit is out of range [lastIndex(0)]: a member comes back without its data")
            self._list([*self.listed(), data["join"]])
        elif data and "leave" in data:
            self.leave(data["leave"])
        elif data and data["from"] in self.listed():
            self._store.load(data["all"])
        return self._store.dump()

    def leave(self, server: str) -> None:
        """Raises NoQuorum."""
        self.need_quorum()
        self._list([other for other in self.listed() if other != server])
        self._send(server)

    def need_quorum(self) -> None:
        """Raises NoQuorum, also where this one was taken out."""
        listed = self.listed()
        if self._own not in listed or 2 * sum(map(self._answers, listed)) <= len(listed):
            raise NoQuorum("etcdserver: request timed out")

    def _answers(self, server: str) -> bool:
        if server == self._own:
            return True
        at, answered = self._seen.get(server, (0.0, False))
        if time.monotonic() - at > 0.5:
            try:
                with socket.create_connection((host(server), PORT), timeout=0.3):
                    answered = True
            except OSError:
                answered = False
            self._seen[server] = (time.monotonic(), answered)
        return answered

    def _list(self, servers: list[str]) -> None:
        self._store.put(_MEMBERS, {"metadata": {}, "servers": servers})

    def _pass_on(self) -> None:
        while True:
            self._dirty.wait()
            self._dirty.clear()
            for server in self.listed():
                if server != self._own:
                    self._send(server)

    def _send(self, server: str) -> None:
        try:
            client = Client.of(place.KUBERNETES / "controller-manager.conf")
            client.server = urllib.parse.urlsplit(server)
            client.call("POST", "/standin/etcd", {"from": self._own, "all": self._store.dump()})
        except (OSError, ApiError):
            return  # it is away, and takes all of it when it joins


def host(server: str) -> str:
    """Its address."""
    return urllib.parse.urlsplit(server).hostname or ""


def identity(server: str) -> str:
    """A member's ID, in decimal as the JSON gateway has it."""
    return str(int.from_bytes(hashlib.sha256(server.encode()).digest()[:8], "big"))
