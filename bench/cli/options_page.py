"""Write the page of all commands and options in Markdown: ``python -m bench.cli.options_page > docs/options.md``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from html import escape
from importlib import import_module

from bench.cli import VERBS, Parser

START = """\
# Commands and options

This page is generated: `python -m bench.cli.options_page > docs/options.md`. `bench VERB --help` prints the same.
"""


def page() -> str:
    """Return the page: for each verb its description and its options."""
    return "\n".join([START, *(line for verb in VERBS for line in _verb(verb))])


def _verb(verb: str) -> Iterator[str]:
    module = import_module(f"bench.cli.{verb}")
    parser = Parser(prog=f"bench {verb}", add_help=False)
    module.add(parser)
    yield f"## bench {verb}\n"
    yield f"```text\n{(module.__doc__ or '').strip()}\n```\n"
    for group in parser._action_groups:
        actions = [one for one in group._group_actions if one.help != argparse.SUPPRESS]
        if actions:
            own = (
                group.title if group.title and not group.title.startswith(("positional", "optional", "options")) else ""
            )
            yield f"| {_cell(own) or 'option'} | meaning |\n|---|---|"
            yield from (_row(one) for one in _flat(actions))
            yield ""


def _flat(actions: list[argparse.Action]) -> Iterator[argparse.Action]:
    """Yield the actions, those of verbs of their own (``bench weights pull``) in their place."""
    for action in actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action._choices_actions:
                yield argparse.Action([], _usage(choice.dest, action.choices[choice.dest]), help=choice.help)
        else:
            yield action


def _usage(name: str, parser: argparse.ArgumentParser) -> str:
    shown = [f"[{_shown(one)}]" if one.option_strings else _shown(one) for one in parser._actions if one.dest != "help"]
    return " ".join([name, *shown])


def _shown(action: argparse.Action) -> str:
    """Return an option with what follows it, or the name of an argument."""
    value = str(action.metavar or "|".join(map(str, action.choices or ())) or action.dest.upper())
    if not action.option_strings:
        return value if action.metavar or action.choices else action.dest
    return action.option_strings[-1] if action.nargs == 0 else f"{action.option_strings[-1]} {value}"


def _row(action: argparse.Action) -> str:
    """Return a row in which a vertical bar is an entity, which Markdown does not read within back quotes."""
    return f"| <code>{_cell(escape(_shown(action)))}</code> | {_cell(action.help or '')} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("%%", "%").replace("|", "&#124;")


if __name__ == "__main__":
    print(page(), end="")
