"""`python -m gateway` and the `gateway` command."""

import os
import sys

from gateway.commands.startup import HANDED, begin


def main() -> None:
    """Run the command line; ends the process with the command's exit code."""
    begin(serves=HANDED in os.environ or sys.argv[1:2] == ["run"])
    if HANDED in os.environ:
        from gateway.commands import serving  # noqa: PLC0415  # and nothing of the command line

        serving.go_on()
    else:
        from gateway.cli import cli  # noqa: PLC0415
        from gateway.commands.reexec import hand_over  # noqa: PLC0415

        cli(prog_name="gateway", obj=hand_over)


if __name__ == "__main__":
    main()
