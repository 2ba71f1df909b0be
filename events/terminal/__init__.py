"""What the commands share: how they talk to a person at a terminal, or to a program."""
