"""Reading files and `--set`."""

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR
WARNING = Severity.WARNING

CODES = (
    Code(
        "IB100",
        ERROR,
        "A file cannot be read",
        why=(
            "imgbuild reads regular files of UTF-8 text of up to 4 MiB. It does not wait for a pipe, and it does "
            "not guess another encoding."
        ),
        fix="Check the path and its permissions, and save the file as UTF-8 text.",
        bad="extends: [centos7-efi, missing.yaml]",
        good="extends: [centos7-efi, china]",
    ),
    Code(
        "IB101",
        ERROR,
        "The file is not YAML",
        why="A file that does not parse has no keys to check (YAML 1.2, yaml.org/spec/1.2.2).",
        fix="Look at indentation, colons, quotes and tabs at the place that is named.",
        bad="kernel: {modules: [overlay, br_netfilter}",
        good="kernel: {modules: [overlay, br_netfilter]}",
    ),
    Code(
        "IB102",
        ERROR,
        "A key is given twice",
        why="YAML parsers silently keep the last value, so an edit of the first has no effect.",
        fix="Keep one of them.",
        bad="""
            swap: {enabled: false}
            swap: {enabled: false}
        """,
        good="swap: {enabled: false}",
    ),
    Code(
        "IB103",
        ERROR,
        "YAML that imgbuild does not read",
        why=(
            "Tags (`!!…`), merge keys (`<<`), keys that are not text and files that are not a mapping are read "
            "differently by different programs."
        ),
        fix="Write plain keys and values. `extends:` and layers replace merge keys.",
        bad="time: !!map {zone: UTC}",
        good="time: {zone: UTC}",
    ),
    Code(
        "IB104",
        ERROR,
        "Too many or too deeply nested values",
        why='Aliases inside themselves have no end, and aliases of aliases grow exponentially ("billion laughs").',
        fix="Write the values out.",
        bad="run: &again [*again]",
        good="run: [echo again]",
    ),
    Code(
        "IB105",
        ERROR,
        "A number with a leading zero",
        why="It is octal in YAML 1.1 and decimal in YAML 1.2, so 0644 may mean 420 or 644.",
        fix="Write a file's mode in quotes, and a number without the zero.",
        bad="files: [{path: /opt/a, content: a, mode: 0644}]",
        good='files: [{path: /opt/a, content: a, mode: "0644"}]',
    ),
    Code(
        "IB106",
        ERROR,
        "There is no such profile or layer",
        why="A name without a slash or a suffix is one of those that imgbuild ships; anything else is a path.",
        fix="Use one of the names that are listed, or the path of a file.",
        bad="extends: centos7-uefi",
        good="extends: centos7-efi",
    ),
    Code(
        "IB107",
        ERROR,
        "`extends` cannot be followed",
        why="A file that extends itself, or hundreds of files, has no end; `extends` takes a name or a list of names.",
        fix="Remove one `extends` line, or write a name.",
        bad="extends: {centos7-efi: true}",
        good="extends: [centos7-efi]",
    ),
    Code(
        "IB108",
        ERROR,
        "`--set` cannot be read",
        why="`--set` takes KEY=VALUE, whose value is read as YAML; a comment in it would cut the value off.",
        fix='Write `--set kernel.sysctl."vm.swappiness"=0`, and quote a value with `#`.',
        bad_options=(
            "--set",
            "swap.enabled",
        ),
        good_options=(
            "--set",
            "swap.enabled=false",
        ),
    ),
    Code(
        "IB109",
        ERROR,
        "The profile has no valid target or name",
        why=(
            "Every profile is for one target, whose facts all else follows from. Its file name becomes the name "
            "of the output folder."
        ),
        fix="Write `extends: centos7-efi`, or `target:` with one of the names that are listed.",
        bad="""
            target: centos9
            firmware: efi
        """,
        good="""
            target: centos7
            firmware: efi
        """,
    ),
    Code(
        "IB110",
        ERROR,
        "A target file of imgbuild's own is broken",
        why="The files in profiles/targets are part of imgbuild. A file that does not load was changed or truncated.",
        fix="Install imgbuild again.",
        setup="A file in profiles/targets is damaged.",
    ),
    Code(
        "IB111",
        ERROR,
        "There is no such key",
        why="An unknown key would be ignored, and what it was to do would be missing on the node.",
        fix="Use the nearest key, or move it to the file that it belongs in: the message names it.",
        bad="kernel: {flavor: kernel-lt}",
        good="kernel: {modules: [overlay, br_netfilter]}",
    ),
    Code(
        "IB112",
        ERROR,
        "A required key is missing",
        why="There is no default that could be right.",
        fix="Add the key.",
        bad_cluster="nodes: [{name: cp1}]",
        good_cluster="nodes: [{name: cp1, role: control-plane}]",
    ),
    Code(
        "IB113",
        ERROR,
        "A value does not fit its key",
        why="imgbuild converts nothing silently, because YAML's guesses (1.30 becomes 1.3) end up on the node.",
        fix="Write the value that is suggested. Only values that fit are suggested.",
        bad="kubernetes: {version: 1.30}",
        good="kubernetes: {version: 1.35.8}",
    ),
    Code(
        "IB114",
        WARNING,
        "A name means imgbuild's own file, and this folder has a file of that name",
        why="Names of shipped profiles and layers come first, so the file in this folder is not read.",
        fix="Write the path, such as ./debian12-efi.yaml, if you mean your file.",
        setup="`--profile debian12-efi` in a folder with a file debian12-efi.yaml.",
    ),
    Code(
        "IB115",
        ERROR,
        "A key has been renamed",
        why=(
            "The old name is accepted until the next minor version. A file with both names is an error, because "
            "it is unclear which one is meant. See [stability](../stability.md#renamed-keys)."
        ),
        fix="Write the new name.",
        lesser=WARNING,
        when="only the old name is there",
        setup="A key has been renamed since the file was written.",
    ),
    Code(
        "IB116",
        ERROR,
        "The file is of another kind",
        why=(
            "A profile defines what a node is made of, a cluster file which nodes there are. The keys of one mean "
            "nothing in the other."
        ),
        fix="Name the file with the option that takes such a file.",
        bad="nodes: [{name: cp1, role: control-plane}]",
        good="swap: {enabled: false}",
    ),
    Code(
        "IB117",
        ERROR,
        "A character of another keyboard in place of YAML's own",
        why=(
            "Full-width and curly characters look like YAML's syntax and are plain text to every YAML parser, so "
            "a value or a key silently becomes another one."
        ),
        fix="Type the ASCII character that is named.",
        bad="run: [“echo hi”]",
        good='run: ["echo hi"]',
    ),
    Code(
        "IB118",
        WARNING,
        "A secret is in the profile itself",
        why=(
            "Profiles are shared and put under version control: whoever can read the file has the secret. A reference "
            "keeps it apart: [Secrets in a profile](../profile.md#secrets-in-a-profile)."
        ),
        fix="Put it into a file of mode 0600 and write `{file: PATH}`, or into a variable and write `{env: NAME}`.",
        setup="A key that is declared secret has its text in the file.",
    ),
    Code(
        "IB119",
        ERROR,
        "A reference to a file or a variable cannot be resolved",
        why=(
            "`{file: PATH}` is the content of a text file, relative to the file that names it; `{env: NAME}` is that "
            "of an environment variable of imgbuild. Without its text nothing can be checked."
        ),
        fix="Create the file or set the variable, and let the user who runs imgbuild read it.",
        bad="users: [{name: bob, ssh_keys: [SSH-KEY], hashed_password: {file: bob.hash}}]",
        good="users: [{name: bob, ssh_keys: [SSH-KEY]}]",
    ),
)
"""The rows of this family."""
