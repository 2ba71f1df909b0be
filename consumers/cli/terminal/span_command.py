"""The span command: one whose arguments may be spans such as `-2h`, which are no options."""

import re

import click

_SPAN = re.compile(r"-\d+[smhd](\.\.|\Z)", re.ASCII)
_MARK = "\x00"


class SpanCommand(click.Command):
    """Takes for an argument what is a span, or begins with one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Hide the minus of spans from click, which would take them for options."""
        rest = super().parse_args(ctx, [_MARK + a if _SPAN.match(a) else a for a in args])
        for name, value in ctx.params.items():
            if isinstance(value, str):
                ctx.params[name] = value.removeprefix(_MARK)
        return rest
