"""What comes from the network: files (``store``), answers (``ask``), images from registries (``registry``).

urllib3 does HTTP, TLS and proxies. It is typed, has no dependencies, is released every few months and uses the host's
own certificates; requests and httpx use their own list, and httpx's last release is from 2024. Retries,
redirects and limits are imgbuild's: a download has to survive more than a failed request (a transfer that stalls half
way, a server that changes the file), and a redirect must neither leak a login nor leave https.
"""
