"""Prints what an account on the server needs, for an ACL file or ACL SETUSER."""

import re
from collections.abc import Sequence
from pathlib import Path

import click

from consumers.cli.deployment import Deployment
from consumers.roles.role import ROLES, user_line
from events.server.credentials import read_password

_USER = re.compile(r"[!-'*-~]{1,100}")


def _role_lines() -> str:
    widest = max(map(len, ROLES))
    lines = (f"  {name:{widest}}  {role.about.replace('`', '')}" for name, role in ROLES.items())
    return "\b\nRoles:\n" + "\n".join(lines)


def _refuse_repeated(
    _context: click.Context, _argument: click.Parameter, roles: Sequence[str]
) -> Sequence[str]:
    if len({*roles}) < len(roles):
        raise click.BadParameter("a role is given twice; give each once")
    return roles


def _refuse_spaces(
    _context: click.Context, _option: click.Parameter, user: str | None
) -> str | None:
    if user is not None and not _USER.fullmatch(user):
        raise click.BadParameter(
            "it must have 1 to 100 characters, none of them a space or a bracket"
        )
    return user


@click.command(epilog=_role_lines())
@click.argument(
    "roles",
    nargs=-1,
    required=True,
    type=click.Choice(tuple(ROLES)),
    callback=_refuse_repeated,
)
@click.option("--user", callback=_refuse_spaces, help="The account's name.")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    help="A file whose first line becomes the account's password; its SHA-256 is printed.",
)
@click.pass_context
def acl(
    context: click.Context, *, roles: Sequence[str], user: str | None, password_file: Path | None
) -> None:
    """Print the line of an ACL file for an account that has these ROLES, and no other rights.

    It is for the namespace of the settings, and asks no server. Without `user` it is what ACL
    SETUSER takes. docs/security.md says who needs which role.

    \b
    Example: routestream acl producer reader --user manager --password-file manager.txt
    """
    deployment = context.ensure_object(Deployment)
    try:
        password = None if password_file is None else read_password(str(password_file))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    click.echo(user_line(roles, deployment.settings.namespace, user, password))
