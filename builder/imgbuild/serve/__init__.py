"""`imgbuild serve`: one output folder over HTTP, TFTP and DHCP, and who may have which node's secrets."""
