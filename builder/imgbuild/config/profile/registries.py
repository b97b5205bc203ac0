"""Registries and their mirrors, for every program on the node that pulls images."""

from typing import Annotated, Any, Literal

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from imgbuild.config.fields import Model, Url, pattern
from imgbuild.config.profile.site import Certificates
from imgbuild.config.reference import SecretText
from imgbuild.config.setting import Setting, Words

_PROJECT = r"/?[A-Za-z0-9_~-][A-Za-z0-9._~-]*(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?"


class Login(Model):
    """A login at a registry: a name and a password, or a token."""

    username: Annotated[
        Annotated[str, Field(min_length=1)] | None,
        Setting("Name, for example of a robot account of Harbor.", example="robot$nodes"),
    ] = None
    password: Annotated[SecretText | None, Setting("Its password.", example={"file": "robot.txt"}, secret=True)] = None
    token: Annotated[
        SecretText | None,
        Setting(
            "Identity token in place of both, as `docker login` stores it for registries that give one.",
            example={"env": "REGISTRY_TOKEN"},
            secret=True,
        ),
    ] = None


class Server(Model):
    """Where a registry is reached. A plain URL is its ``url``."""

    plain = "url"
    url: Annotated[
        Url,
        Setting(
            "Address: `https://HOST`, `http://HOST:PORT`. A path in it is read as `path`. Without other keys, the URL "
            "alone replaces the whole mapping.",
            example="https://registry.example.com",
        ),
    ]
    path: Annotated[
        Annotated[str, pattern(_PROJECT, "write a path such as dockerhub, without a host")] | None,
        Setting(
            "The folder of the images there: images are requested as `/v2/PATH/NAME`. With Harbor's proxy cache it is "
            "the name of the project.",
            example="dockerhub",
        ),
    ] = None
    ca: Annotated[
        Certificates | None,
        Setting(
            "Certificates of the authorities that sign this host's certificate, beside those that the system trusts.",
            example={"file": "corp-ca.pem"},
        ),
    ] = None
    skip_verify: Annotated[
        bool,
        Setting("Whether this host's certificate is accepted unverified. The stargz snapshotter cannot do that."),
    ] = False

    auth: Annotated[
        Login | None,
        Setting(
            "Login at this host, for all programs that pull images. It is in the seeds alone.",
            scope="seed",
            secret=True,  # all of it: also a text in its place
        ),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        return {cls.plain: value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The mapping, or the URL alone."""
        schema = handler(core)
        handler.resolve_ref_schema(schema)["type"] = ["object", "string"]
        return schema


class Mirror(Server):
    """A mirror: a server that is tried before the registry itself."""

    capabilities: Annotated[
        list[Literal["pull", "resolve", "push"]],
        Field(min_length=1),
        Setting(
            "What the mirror is used for: `pull` (layers, by digest), `resolve` (which digest a tag has), `push`. "
            "buildkit uses mirrors that have `pull` and `resolve`, stargz those that have `pull`.",
            example=["pull"],
        ),
    ] = ["pull", "resolve"]


class Registry(Model):
    """One registry: its mirrors are tried in order, then the registry itself."""

    server: Annotated[
        Server,
        Words("URL, or a mapping"),
        Setting(
            "Address of the registry itself, which is tried last: a URL, or the keys below.",
            example="https://registry-1.docker.io",
        ),
    ]
    mirrors: Annotated[
        list[Annotated[Mirror, Words("URL or mapping")]],
        Setting(
            "Mirrors that are tried first, in order: URLs, or the keys below.",
            example=["https://docker.mirror.example.com"],
            recipe="s#registry-1.docker.io#3i61yr6w.mirror.aliyuncs.com#g",
        ),
    ] = []
