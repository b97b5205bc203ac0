"""Where a node reports its progress."""

from typing import Annotated

from imgbuild.config.fields import Model, PlainUrl
from imgbuild.config.setting import Setting


class Report(Model):
    """Reports of a node: cloud-init's end, each stage of set-up and first boot, and that it is ready."""

    url: Annotated[
        PlainUrl | None,
        Setting(
            "Address that gets the reports, as forms by POST: that of `imgbuild serve`, or any other. A server that "
            "is away delays nothing. `null`: the node reports to nobody.",
            example="http://10.0.0.2:8080/report",
        ),
    ]
    phone_home: Annotated[
        bool,
        Setting(
            "Whether cloud-init's own `phone_home` calls that address too. It has no time limit: a server that takes "
            "the connection and does not answer holds up cloud-init, and with it first boot.",
            example=True,
        ),
    ]
