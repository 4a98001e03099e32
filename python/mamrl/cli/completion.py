"""``mamrl completion``: what a shell needs to complete commands and options."""

from __future__ import annotations

import argparse
from typing import Any

_SCRIPT = """\
# completion of mamrl; in ~/.bashrc or ~/.zshrc: eval "$(mamrl completion {shell})"
{before}_mamrl() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" words
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="{commands}"
  else
    case "${{COMP_WORDS[1]}}" in
{cases}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _mamrl mamrl
"""


def add_parser(subparsers: Any) -> None:
    """Adds the command to the parser."""
    parser = subparsers.add_parser(
        "completion",
        help="print a shell's completion of this command line",
        description="Prints a script that completes commands, their options and presets. In ~/.bashrc: "
        'eval "$(mamrl completion bash)"; in ~/.zshrc: eval "$(mamrl completion zsh)".',
    )
    parser.add_argument("shell", choices=("bash", "zsh"))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the script."""
    from mamrl.cli import build_parser

    print(script(args.shell, build_parser()), end="")
    return 0


def script(shell: str, parser: argparse.ArgumentParser) -> str:
    """The script for a shell, from the parser itself."""
    from mamrl.experiments import PRESETS

    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    cases = []
    for name, command in commands.choices.items():
        words = [option for action in command._actions for option in action.option_strings]
        words += [str(choice) for action in command._actions for choice in action.choices or ()]
        words += PRESETS if name == "train" else []
        cases.append(f'      {name}) words="{" ".join(dict.fromkeys(words))}" ;;')
    before = "autoload -U +X compinit bashcompinit && compinit && bashcompinit\n" if shell == "zsh" else ""
    return _SCRIPT.format(shell=shell, before=before, commands=" ".join(commands.choices), cases="\n".join(cases))
