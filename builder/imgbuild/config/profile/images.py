"""Container images in the disk image, so that first boot pulls none."""

from typing import Annotated

from imgbuild.config.fields import Model, pattern
from imgbuild.config.setting import Setting, Words

_HOST = r"([a-z0-9-]+(\.[a-z0-9-]+)+(:[0-9]{1,5})?|[a-z0-9-]+:[0-9]{1,5}|localhost)"
_PATH = r"(/[a-z0-9]+([._-]+[a-z0-9]+)*)+"
_TAG, _DIGEST = r":[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", r"@sha256:[0-9a-f]{64}"


class Preload(Model):
    """``images``: what the disk image has. ``image`` is the disk image itself."""

    preload: Annotated[
        bool,
        Setting(
            "Whether the disk image has the container images that its nodes run (those that `imgbuild images` lists). "
            "The build host fetches them with skopeo, from the profile's mirrors, and first boot loads them: it pulls "
            "nothing. [How-to](../how-to/air-gap.md)."
        ),
    ]
    extra: Annotated[
        list[
            Annotated[
                str,
                pattern(
                    f"{_HOST}{_PATH}({_TAG}({_DIGEST})?|{_DIGEST})",
                    "write registry, path and tag or digest, as a pod names the image, with docker.io where that is "
                    "the registry: docker.io/library/nginx:1.27.5",
                ),
                Words("image with its registry, and its tag or digest"),
            ]
        ],
        Setting(
            "More images for `preload`: your own, and those of addons that are charts. Write each as its pod does; if "
            "it has a digest, that one is fetched.",
            example=["registry.example.com/shop/web:1.4.2"],
        ),
    ]
