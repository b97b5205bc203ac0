# Two commands do all the set-up: `make demo` (build a node's image and boot it) and `make test` (what CI runs).
# As root, or with sudo, on Debian 12. Settings of tools are in pyproject.toml.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

# What building and booting an image needs; `imgbuild doctor` reports it too, and a test compares the two lists.
RUN_PACKAGES := python3 python3-venv ca-certificates mmdebstrap debian-archive-keyring gpgv sudo e2fsprogs util-linux mount fdisk dosfstools \
	mtools systemd procps coreutils tar bash qemu-utils qemu-system-x86 ovmf zstd xz-utils policycoreutils openssh-client skopeo squashfs-tools createrepo-c
# What the tests use besides: real checkers and real parts.
TEST_PACKAGES := cloud-init containerd runc containernetworking-plugins shellcheck shfmt xorriso grub-common grub-pc-bin \
	gcc libc6-dev gawk mawk busybox-static iproute2 iptables procps kmod openssl curl xfsprogs dnf rpm gpg gpg-agent git jq docker-registry tinyproxy strace virtinst python3-openstackclient haproxy \
	libvirt-clients libxml2-utils python3-ironicclient \
	dnsmasq-base ipxe nginx-light chromium grub-efi-amd64-bin debootstrap
# What the figures are compared with, besides.
BENCH_PACKAGES := mkosi

VENV := .venv
# Under sudo: what a run leaves in a checkout of the caller's is the caller's, who runs make without sudo the next time.
# imgbuild itself does so for out/, where seeds stay root's.
HAND_OVER := trap 'if [ -n "$${SUDO_UID:-}" ] && [ ! -O . ]; then \
	find . -xdev -path ./out -prune -o -user 0 -exec chown -h "$$SUDO_UID:$$SUDO_GID" {} + || true; fi' EXIT;
# Container images often set it. Each of the tests' hundreds of processes would then compile imgbuild anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo check coverage test test-all lint bench reference packages test-packages clean

help:
	@echo "make demo      build an image and boot it in QEMU: a whole control plane where its parts can be fetched, else a node"
	@echo "               with containerd (five to ten minutes); ACCEL=kvm is faster"
	@echo "make check     lint, types, contracts and unit tests: three minutes, without root and apt"
	@echo "make coverage  how much of the package the unit tests run"
	@echo "make test      everything that CI runs (root)"
	@echo "make test-all  the slow tests too"
	@echo "make reference  the tables of docs/reference and the schemas, from the declarations of settings"
	@echo "make bench     the figures of docs/explanation/figures.md, measured here"

demo: packages $(VENV)/.run
	$(HAND_OVER) $(VENV)/bin/python -m tools.demo

check: $(VENV)/.dev lint
	$(VENV)/bin/pytest -n 2 tests/unit

# Apart from check: tracing doubles the time of the tests.
coverage: $(VENV)/.dev
	$(VENV)/bin/pytest -n 2 tests/unit --cov --cov-report term

# More workers than processors: clusters, retries and locks wait nine tenths of their time. The order is tests/conftest.py's.
PARALLEL := -n 5 --dist loadgroup --no-loadscope-reorder --durations 20

test: test-packages $(VENV)/.dev lint
	$(HAND_OVER) $(VENV)/bin/pytest $(PARALLEL) -m "not slow"

test-all: test-packages $(VENV)/.dev lint
	$(HAND_OVER) $(VENV)/bin/pytest $(PARALLEL)

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo
	$(VENV)/bin/yamllint --strict .
	$(VENV)/bin/codespell

bench: test-packages $(VENV)/.dev
	$(call install,$(BENCH_PACKAGES))
	$(HAND_OVER) $(VENV)/bin/python -m tests.bench

reference: $(VENV)/.dev
	$(VENV)/bin/python -m tools.reference

# apt is asked only for what is not there: the second run needs no network.
define install
@missing=""; for p in $(1); do \
	dpkg-query -W -f '$${db:Status-Status}\n' "$$p" 2>/dev/null | grep -qx installed || missing="$$missing $$p"; done; \
if [ -n "$$missing" ]; then echo "== installing$$missing"; apt-get update -q; \
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$missing; fi
endef

packages:
	$(call install,$(RUN_PACKAGES))

test-packages:
	$(call install,$(RUN_PACKAGES) $(TEST_PACKAGES))

$(VENV)/.run: pyproject.toml | packages
	@echo "== a virtual environment in $(VENV)"
	test -x $(VENV)/bin/python || python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --editable .
	$(HAND_OVER) touch $@

$(VENV)/.dev: pyproject.toml
	@echo "== a virtual environment in $(VENV), with the test tools"
	test -x $(VENV)/bin/python || python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	$(HAND_OVER) touch $@ $(VENV)/.run

clean:
	rm -rf out $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
