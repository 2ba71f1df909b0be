"""The exit code: what a command tells the script that ran it. 0 says that it is done."""

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NOT_FOUND = 3
EXIT_NO_CONNECTION = 4
EXIT_INTERRUPTED = 130
EXIT_CLOSED_PIPE = 141
"""What a shell says of a program that SIGPIPE ended."""
