"""The `torpor` command: its subcommands by name, and the one place where errors become exit codes.

A subcommand's module is imported when it is called, so that `torpor --help` stays under 0.3 s.
"""

from __future__ import annotations

import importlib
import os
import sys

import click

from torpor import __version__
from torpor.errors import TorporError

# name -> (module:attribute, help). The help stands here so that the list of commands imports none of them.
COMMANDS = {
    "up": ("torpor.cli.up:up", "Start the laptop's cluster; Ctrl-C stops it."),
    "apply": ("torpor.cli.apply:apply", "Make the cluster match YAML files."),
    "get": ("torpor.cli.get:get", "Show objects."),
    "delete": ("torpor.cli.delete:delete", "Delete objects."),
    "logs": ("torpor.cli.logs:logs", "Show what a pod, or a service's pods, wrote."),
    "key": ("torpor.cli.key:key", "Make, list and revoke API keys."),
    "predict": ("torpor.cli.predict:predict", "Send a request to a model, and see it wake."),
}


class Commands(click.Group):
    """Subcommands that are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="torpor")
def cli() -> None:
    """Serverless inference: models sleep at zero, and a request wakes them.

    \b
    A first try:
      torpor up                             (in a terminal of its own)
      torpor apply -f service.yaml --wait
      torpor predict NAME -d '{"instances": [1, 2]}'
    """  # noqa: D301  # \b is click's mark for "do not wrap"


def main(args: list[str] | None = None) -> None:
    """Run, and end with 0, 1 (it failed, one line says why), 2 (wrong usage) or 130 (Ctrl-C)."""
    sys.exit(run(args))


def run(args: list[str] | None = None) -> int:
    """Run one command line; returns the exit code. Nothing a user does ends in a traceback."""
    try:
        result = cli.main(args, prog_name="torpor", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        return 2
    except click.ClickException as error:
        return _failed(error.format_message())
    except (KeyboardInterrupt, click.Abort):
        click.echo(err=True)
        return 130
    except BrokenPipeError:  # `torpor get … | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except TorporError as error:
        return _failed(str(error))
    except Exception as error:
        if os.environ.get("TORPOR_DEBUG"):
            raise
        return _failed(f"{type(error).__name__}: {error} (this is a bug; TORPOR_DEBUG=1 shows where)")
    return result if isinstance(result, int) else 0


def _failed(message: str) -> int:
    click.echo(f"{click.style('error:', fg='red', bold=True)} {' '.join(message.split())}", err=True)
    return 1


if __name__ == "__main__":
    main()
