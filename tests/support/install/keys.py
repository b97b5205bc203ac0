"""Keys made for the tests, by gpg itself."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Signer:
    """A key pair in a gpg home of its own."""

    home: Path
    fingerprint: str
    public: str

    def gpg(self, *args: str) -> str:
        return _gpg(self.home, *args)

    def option(self, kind: str) -> str:
        """It as ``--set`` takes it."""
        return f"repositories.keys.{kind}={json.dumps([self.public])}"

    def extended(self, expires: str) -> str:
        """The public key with a later date."""
        self.gpg("--quick-set-expire", self.fingerprint, expires)
        return self.gpg("--armor", "--export", self.fingerprint)


def signer(name: str = "test", *, made: str = "", expires: str = "never") -> Signer:
    """A new key pair, now or at the time ``made`` (20200101T000000)."""
    # Not below a test's own folder: the name of a socket holds 107 letters, and gpg's agent gives up on a longer one.
    home = Path(tempfile.mkdtemp(prefix=f"imgbuild-{name}-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    then = ["--faked-system-time", f"{made}!"] if made else []
    _gpg(home, *then, "--quick-generate-key", f"{name} <{name}@example.com>", "rsa2048", "sign", expires)
    public = _gpg(home, "--armor", "--export", f"{name}@example.com")
    rows = [line.split(":") for line in _gpg(home, "--with-colons", "--list-keys").splitlines()]
    return Signer(home, next(row[9] for row in rows if row[0] == "fpr"), public)


def _gpg(home: Path, *args: str) -> str:
    command = ["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "", *args]
    environment = {**os.environ, "GNUPGHOME": str(home), "LC_ALL": "C"}
    for _ in range(5):
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        # Its agent would stay for as long as the folder does.
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], capture_output=True, check=False)
        # That of the call before may still be on its way out.
        if "can't connect to the agent" not in done.stderr:
            break
    assert done.returncode == 0, done.stderr
    return done.stdout
