"""The command line: what commands there are, and how a failure is told.

A command's module is imported when the command is called for, so that `gateway --help` and
completion answer at once. Whatever goes wrong on the way is one clear line on standard error,
never a traceback; a traceback is a defect.
"""

import errno
import os
from contextlib import suppress
from importlib import import_module

import click

from gateway import __version__
from gateway.commands import failure
from gateway.errors import GatewayError

# In the order in which a newcomer meets them. Each is `gateway.commands.<name>.<name>`.
COMMANDS = {
    "init": "Write a configuration to start from.",
    "run": "Run the gateway.",
    "check": "Check the configuration and tell what it does.",
    "send": "Send signed sample webhooks, as Stream would.",
    "dead": "List, show, revive and purge dead letters.",
    "subscriber": "List, pause, resume and forget subscribers.",
    "move": "Carry all data over to another Redis.",
    "ledger": "Show where everything is that was accepted, and whether it adds up.",
}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}  # of standard output
EXIT_CODES = """\b
Exit codes:
  0  done, and all is well
  1  it could not be done, or not all is well: something not answered with 2xx,
     an unknown subscriber or id, Redis away, a ledger that does not add up
  2  the command line or the configuration is wrong; nothing was done
"""


class Told(click.ClickException):
    """A failure in words for a person."""

    def show(self, file: object = None) -> None:  # noqa: ARG002
        with suppress(OSError):  # nobody can be told
            click.echo(self.message, err=True)


class Commands(click.Group):
    """The commands of `COMMANDS`, imported one by one when called for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"gateway.commands.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except GatewayError as error:
            text, code = failure.of(error)
            told = Told(text)
            told.exit_code = code  # type: ignore[misc]  # click's own way for an instance
            raise told from error
        except OSError as error:
            if error.errno not in _FULL:
                raise
            # What could not be written would be tried again at the end of the process.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            raise Told(f"gateway: cannot write what is to be told: {error.strerror}") from error


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)
@click.version_option(__version__, prog_name="gateway")
def cli() -> None:
    """Take Stream's video webhooks, never lose one, hand them to your services."""
