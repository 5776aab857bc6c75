"""Prints what others wrote too."""

import click

from drydock.plain import plain


def say(text: str, *, err: bool = False) -> None:
    """Print one line, whatever others wrote into it."""
    click.echo(plain(text), err=err)
