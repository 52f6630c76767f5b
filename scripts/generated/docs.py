"""Write the reference pages that follow from the code: the command line, and the table of errors."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import click
from click.testing import CliRunner

from torpor import errors
from torpor.cli.main import COMMANDS, cli
from torpor.web.status import TABLE

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
NOTE = "<!-- Written by scripts/generate-docs; change the code, not this page. -->"

ABOUT_COMMANDS = """\
Exit status: 0 it worked; 1 it failed, and one line on stderr says why; 2 the command was used wrongly; 130 Ctrl-C.
`TORPOR_DEBUG=1` shows where an unexpected error came from.

Every command but `up` finds the cluster by `--kubeconfig`, else `$KUBECONFIG`, else `~/.torpor/kubeconfig`, which
`torpor up` writes. `kubectl --kubeconfig ~/.torpor/kubeconfig` speaks to the same cluster."""

ABOUT_ERRORS = """\
A request that is refused is answered with JSON: `{"error": "what went wrong", "reason": "…"}`. The reason is one word
for programs; the message is for people. A 429 and a 503 carry `Retry-After` in seconds. The Kubernetes API answers with
Kubernetes' own `Status` objects instead."""


def command_line() -> str:
    """Return the page of every command's `--help`."""
    parts = [
        "# The `torpor` command",
        NOTE,
        ABOUT_COMMANDS,
        _help(),
    ]
    for name in COMMANDS:
        parts += [f"## `torpor {name}`", _help(name)]
        command = cli.get_command(click.Context(cli), name)
        for each in command.commands if isinstance(command, click.Group) else ():
            parts += [f"### `torpor {name} {each}`", _help(name, each)]
    return "\n\n".join(parts) + "\n"


def table_of_errors() -> str:
    """Return the page of what the data ports answer when they refuse."""
    lines = [(status, reason, _meaning(kind)) for kind, status, reason in TABLE]
    lines.append((500, "Internal", "A bug. The log of the service says more."))
    rows = [
        f"| {status} | `{reason}` | {meaning} |" for status, reason, meaning in sorted(lines, key=lambda line: line[0])
    ]
    parts = [
        "# Errors on the data ports",
        NOTE,
        ABOUT_ERRORS,
        "\n".join(["| status | reason | meaning |", "|---|---|---|", *rows]),
    ]
    return "\n\n".join(parts) + "\n"


def _help(*command: str) -> str:
    """Return what `torpor COMMAND --help` prints."""
    done = CliRunner().invoke(cli, [*command, "--help"], prog_name="torpor", terminal_width=100)
    if done.exit_code:
        raise errors.NotFoundError(f"torpor {' '.join(command)} is listed and has no help: {done.output}")
    return f"```text\n{done.output.rstrip()}\n```"


def _meaning(kind: type[errors.TorporError]) -> str:
    """Return the first sentence of the type's docstring."""
    sentence = re.split(r"(?<=[.])\s", inspect.cleandoc(kind.__doc__ or ""))[0]
    again = " Trying again can help." if kind.retryable else ""
    return sentence + again


PAGES = {"cli.md": command_line, "errors.md": table_of_errors}


def main() -> int:
    verify = sys.argv[1:] == ["--verify"]
    if sys.argv[1:] and not verify:
        print("usage: scripts/generate-docs [--verify]", file=sys.stderr)
        return 2
    stale = []
    for name, page in PAGES.items():
        path, text = REFERENCE / name, page()
        if path.exists() and path.read_text() == text:
            continue
        stale.append(name)
        if not verify:
            path.write_text(text)
            print(f"wrote {path.relative_to(Path.cwd())}")
    if verify and stale:
        print(f"out of date: {', '.join(stale)}; run scripts/generate-docs", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
