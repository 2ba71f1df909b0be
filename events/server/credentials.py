"""Where the password comes from when it is not in the URL, and which servers have taken it."""

from pathlib import Path
from time import monotonic

from redis.credentials import CredentialProvider
from redis.exceptions import AuthenticationError

from events.server.places import ServerPlace

PASSWORD_BYTES_MAX = 4_096
"""Bytes that a file with a password may have."""

ADMISSION_WAIT_S = 30.0
"""How long a server of a deployment may refuse us that has never let us in, while others did."""


def read_password(file: str) -> str:
    """Return the first line of *file*.

    Raises:
        ValueError: It cannot be read, is empty, or is no password; the sentence shows none of it.
    """
    try:
        with Path(file).open("rb") as opened:
            content = opened.read(PASSWORD_BYTES_MAX + 1)
    except OSError as error:
        why = (error.strerror or "it cannot be opened").lower()
        raise ValueError(f"password_file {file} cannot be read: {why}") from None
    if len(content) > PASSWORD_BYTES_MAX:
        raise ValueError(
            f"password_file {file} has more than {PASSWORD_BYTES_MAX} bytes, which is the limit"
        )
    try:
        password = content.decode().partition("\n")[0].rstrip("\r")
    except UnicodeDecodeError:
        raise ValueError(f"password_file {file} is not text in UTF-8") from None
    if not password:
        raise ValueError(f"the first line of password_file {file} is empty; it is the password")
    return password


class PasswordFile(CredentialProvider):
    """Reads the password at each connect, so that a new one is taken without a restart."""

    def __init__(self, username: str | None, file: str) -> None:
        self._username, self._file = username, file

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Return the user, if there is one, and the password.

        Raises:
            AuthenticationError: The file does not have it at this moment.
        """
        try:
            password = read_password(self._file)
        except ValueError as error:
            raise AuthenticationError(str(error)) from None
        return (password,) if self._username is None else (self._username, password)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        """Return the same; the file is small and local."""
        return self.get_credentials()


class Admission:
    """Whether one server lets us in, where others of its deployment do.

    Accounts are not replicated: a server that has just become the master may not have ours yet. It
    is given time before its refusal counts.

    Args:
        place: Where the server is.
        admitted: All servers that ever let us in.
    """

    def __init__(self, place: ServerPlace, admitted: set[ServerPlace]) -> None:
        self._place = place
        self._admitted = admitted
        self._refused_since: float | None = None

    def note(self) -> None:
        """Remember that the server has let us in."""
        self._admitted.add(self._place)

    def is_awaited(self) -> bool:
        """Whether a refusal does not count yet."""
        if self._place in self._admitted or not self._admitted:
            return False
        if self._refused_since is None:
            self._refused_since = monotonic()
        return monotonic() - self._refused_since < ADMISSION_WAIT_S
