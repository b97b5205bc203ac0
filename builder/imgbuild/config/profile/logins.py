"""Logins at the hosts that packages, archives and the base image come from."""

from typing import Annotated

from pydantic import AfterValidator, Field

from imgbuild.config.certificates import client_certificate, private_key
from imgbuild.config.fields import Model, pattern
from imgbuild.config.reference import Reference, SecretText
from imgbuild.config.setting import Setting, Words

ClientCertificate = Annotated[
    str, AfterValidator(client_certificate), Reference(private=None), Words("certificate in PEM")
]
PrivateKey = Annotated[str, AfterValidator(private_key), Reference(), Words("private key in PEM")]
Server = Annotated[
    str,
    pattern(
        r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[1-9][0-9]{0,4})?",  # apt.conf cannot name an IPv6 address
        "write the name or the IPv4 address, and the port if the address has one: mirror.example.com:8443",
    ),
    Words("host, or host:port"),
]


class RepositoryLogin(Model):
    """A name with its password, a client certificate with its key, or both."""

    username: Annotated[Annotated[str, Field(min_length=1)] | None, Setting("Name at this host.", example="nodes")] = (
        None
    )
    password: Annotated[
        SecretText | None, Setting("Its password, or an access token.", example={"file": "mirror.txt"}, secret=True)
    ] = None
    client_certificate: Annotated[
        ClientCertificate | None,
        Setting(
            "Certificate that the host recognises this machine by, with the intermediate ones behind it.",
            example={"file": "mirror.crt"},
        ),
    ] = None
    client_key: Annotated[
        PrivateKey | None,
        Setting("The certificate's private key, without a passphrase.", example={"file": "mirror.key"}, secret=True),
    ] = None


Logins = dict[Server, RepositoryLogin | None]
