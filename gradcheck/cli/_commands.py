"""Groups of commands that suggest a similar name for an unknown command."""

from __future__ import annotations

import click

from gradcheck.text.suggestions import did_you_mean


class Commands(click.Group):
    """A group of commands."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first argument names.

        Raises:
            UsageError: there is no such command.
        """
        name, known = args[0], self.list_commands(ctx)
        if name not in known and not name.startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(
                f"{name!r}: no such command: {self._meant(ctx, name, known)}expected {', '.join(known)}"
            )
        return super().resolve_command(ctx, args)

    def _meant(self, ctx: click.Context, name: str, known: list[str]) -> str:
        for each in ("run", "show"):
            if name.endswith(".py") and each in known:
                return f"did you mean '{ctx.command_path} {each} {name}'? "
        return did_you_mean(name, [*known, "--help"])
