"""Whether a registry whose certificate is not verified (skip_verify) speaks TLS at all.

skopeo --tls-verify=false goes on over plain http if it does not, and sends the login there.
"""

from __future__ import annotations

import ssl
import warnings

import urllib3

from imgbuild.fetch.broken import BROKEN, failure
from imgbuild.fetch.exchange import proxy_of
from imgbuild.fetch.failure import Failure

_SECONDS = 20.0


def without_tls(host: str) -> str:
    """Why there is no TLS connection to ``host`` (HOST or HOST:PORT); empty if there is one. No login is sent."""
    url = f"https://{host}/v2/"
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    warnings.filterwarnings("ignore", category=urllib3.exceptions.InsecureRequestWarning)
    try:
        proxy = proxy_of(url)
        if proxy is None:
            manager = urllib3.PoolManager(num_pools=1, ssl_context=context)
        else:
            manager = urllib3.ProxyManager(proxy[0], num_pools=1, proxy_headers=proxy[1], ssl_context=context)
        try:
            manager.urlopen(
                "GET", url, timeout=_SECONDS, retries=False, redirect=False, preload_content=False
            ).close()  # fmt: skip
        finally:
            manager.clear()
    except Failure as error:
        return str(error)
    except BROKEN as error:
        why = str(failure(error))
        return "" if "ALERT" in why else why  # an alert is TLS: a client certificate is required, for example
    return ""
