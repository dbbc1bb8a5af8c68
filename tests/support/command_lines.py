"""Whether the command line takes a command, without running it."""

import click

from gateway.cli import cli


def parse(words: list[str]) -> str:
    """Parse what follows `gateway`; return the commands' names. Raises `click.ClickException`."""
    context = click.Context(cli, info_name="gateway")
    command: click.Command = cli
    names: list[str] = []
    while isinstance(command, click.Group):
        if words and words[0] in {"--help", "--version"}:
            return " ".join([*names, words[0]])
        if not words:
            raise click.UsageError("a command is missing")
        found = command.get_command(context, words[0])
        if found is None:
            raise click.UsageError(f"no such command: {words[0]}")
        names.append(words[0])
        command, words = found, words[1:]
    if "--help" not in words:
        command.make_context(names[-1], words, parent=context)
    return " ".join(names)
