"""Stand-ins for kubeadm, kubelet, crictl and kube-apiserver: no registry that the tests reach has the real ones.

One program under several names (pack.py makes it one file). It keeps to what the real ones do where imgbuild relies on
it: what lies on disk, what is refused, what is waited for. No container is ever run. Python's standard library,
PyYAML (cloud-init brings it to every Debian) and the openssl command.
"""
