"""`python -m gateway` and the `gateway` command."""

from gateway.cli import cli


def main() -> None:
    """Run the command line; ends the process with the command's exit code."""
    cli(prog_name="gateway")


if __name__ == "__main__":
    main()
