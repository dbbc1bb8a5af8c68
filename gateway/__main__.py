"""`python -m gateway` and the `gateway` command."""

import os

from gateway.commands.handing import HANDED, hand_over


def main() -> None:
    """Run the command line; ends the process with the command's exit code."""
    if HANDED in os.environ:
        from gateway.commands import serving  # noqa: PLC0415  # and nothing of the command line

        serving.go_on()
    else:
        from gateway.cli import cli  # noqa: PLC0415

        cli(prog_name="gateway", obj=hand_over)


if __name__ == "__main__":
    main()
