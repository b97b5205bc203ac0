"""The live root: the node's root file system as a machine that boots over the network mounts it, and its initramfs."""
