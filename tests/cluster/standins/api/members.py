"""Several control planes: each API server holds all objects and passes its changes on, in etcd's place.

The newest revision wins. That is enough for one writer at a time, which is what the tests have.
"""

from __future__ import annotations

import threading
import urllib.parse
from typing import Any

from tests.cluster.standins import place
from tests.cluster.standins.api.store import Store
from tests.cluster.standins.client import ApiError, Client

_MEMBERS = ("standin", "members", "", "etcd")


class Members:
    """The other API servers, by their addresses."""

    def __init__(self, store: Store, own: str) -> None:
        self._store, self._own = store, own
        self._dirty = threading.Event()
        self._join(own)
        store.told = self._dirty.set
        threading.Thread(target=self._pass_on, daemon=True).start()

    def take(self, data: dict[str, Any] | None) -> dict[str, Any]:
        """What another member sends: a new member's address, or its newer objects. The answer is all of ours."""
        if data and "join" in data:
            self._join(data["join"])
        elif data:
            self._store.load(data, newer=True)
        return self._store.dump()

    def _join(self, address: str) -> None:
        listed = self._store.get(_MEMBERS) or {"metadata": {}, "servers": []}
        if address not in listed["servers"]:
            self._store.put(_MEMBERS, {**listed, "servers": [*listed["servers"], address]})

    def _pass_on(self) -> None:
        while True:
            self._dirty.wait()
            self._dirty.clear()
            listed = self._store.get(_MEMBERS) or {"servers": []}
            for server in listed["servers"]:
                if server != self._own:
                    self._send(server)

    def _send(self, server: str) -> None:
        try:
            client = Client.of(place.KUBERNETES / "controller-manager.conf")
            client.server = urllib.parse.urlsplit(server)
            client.call("POST", "/standin/etcd", self._store.dump())
        except (OSError, ApiError):
            return  # it is away, and takes all of it when it joins
