"""The entry point of `routestream`: runs a command and sets the exit code."""

import gc
import os
import signal
import sys

import click

from consumers.cli.command_tree import COMPLETE_VARIABLE, routestream
from consumers.cli.terminal.messages import EXIT_INTERRUPTED, say
from consumers.cli.terminal.standard_output import hold_standard_streams, quiet_on_closed_pipe
from events.errors import first_failure

THRESHOLDS = (100_000, 20, 100)


def collect_rarely() -> None:
    """Collect garbage cycles rarely; called once, by the composition root.

    Folds make many small objects that live long and never form cycles: scanning them again and
    again costs a third of a projector's time (measured with `benchmarks.project`).
    """
    gc.set_threshold(*THRESHOLDS)


def run_program() -> None:
    """Run the command, and turn every known failure into one line and its exit code."""
    collect_rarely()
    hold_standard_streams()
    if COMPLETE_VARIABLE in os.environ:
        from consumers.cli.completion import complete_by_name  # noqa: PLC0415 - a shell asks

        routestream.prepare(complete_by_name)
    try:
        code = routestream(prog_name="routestream", standalone_mode=False)
        with quiet_on_closed_pipe():
            sys.stdout.flush()
        sys.exit(code or 0)
    except (click.Abort, KeyboardInterrupt):
        # Otherwise a second Ctrl-C would end the program by the signal, not with this exit code.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        say("interrupted")
        sys.exit(EXIT_INTERRUPTED)
    except Exception as error:
        code = _tell(error)
        if code is None:
            raise
        sys.exit(code)


def _tell(error: Exception) -> int | None:
    """Print a known failure, and return its exit code; None, and print nothing, for a bug."""
    failure = first_failure(error)
    if isinstance(failure, click.exceptions.NoArgsIsHelpError):
        failure.show()
        return failure.exit_code
    if isinstance(failure, click.ClickException):
        say(f"Error: {_sentence(failure)}")
        return failure.exit_code
    from consumers.cli.exit_codes import exit_code_of  # noqa: PLC0415 - only where something failed

    code = exit_code_of(failure)
    if code is not None:
        say(f"Error: {failure}")
    return code


def _sentence(failure: click.ClickException) -> str:
    message = failure.format_message()
    # click lists the choices on several lines.
    return " ".join(message.split()) if isinstance(failure, click.MissingParameter) else message
