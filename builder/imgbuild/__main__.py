"""`python -m imgbuild`."""

from imgbuild.cli.start import main

main()
