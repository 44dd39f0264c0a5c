# SPDX-License-Identifier: MIT
"""`commons completion`: a script that lets a shell complete our commands and flags.

The script is made from the parser and is static: completing a word starts no program.
"""

import argparse
from collections.abc import Iterator

from node.cli.arguments import Commands
from node.cli.output import print_json
from node.exits import ExitCode

SHELLS = ("bash", "zsh", "fish")

ABOUT = """\
Print a script that lets a shell complete commands and flags; a new shell uses it.

bash: commons completion bash > ~/.local/share/bash-completion/completions/commons

zsh: commons completion zsh > FOLDER/_commons, where FOLDER is in $fpath

fish: commons completion fish > ~/.config/fish/completions/commons.fish

It is made for this version: print it again after an update."""

BASH = """\
# completes `commons` in bash; made by `commons completion bash`
_commons() {{
    local at=commons word words i
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${{COMP_WORDS[i]}}
        case "$at $word" in
            {below}) at="$at $word" ;;
        esac
    done
    case "$at" in
{cases}
    esac
    COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _commons commons
"""

ZSH = """\
#compdef commons
# completes `commons` in zsh; made by `commons completion zsh`
_commons() {{
    local at=commons word
    for word in "${{(@)words[2,CURRENT-1]}}"; do
        case "$at $word" in
            {below}) at="$at $word" ;;
        esac
    done
    case "$at" in
{cases}
    esac
    _files
}}
if [[ "${{funcstack[1]}}" == _commons ]]; then
    _commons "$@"
else
    compdef _commons commons
fi
"""

FISH = """\
# completes `commons` in fish; made by `commons completion fish`
function __commons_at
    set -l at commons
    set -l given (commandline -opc)
    set -e given[1]
    for word in $given
        switch "$at $word"
            case {below}
                set at "$at $word"
        end
    end
    test "$at" = "$argv[1]"
end
{lines}
"""


def register(commands: Commands) -> None:
    """Describe `commons completion`."""
    completion = commands.add(
        "completion",
        run,
        summary="print a script that lets a shell complete our commands",
        about=ABOUT,
    )
    completion.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash, zsh or fish")


def run(parsed: argparse.Namespace) -> ExitCode:
    """Print the script of one shell."""
    script = script_of(parsed.shell)
    if parsed.json:
        print_json({"shell": parsed.shell, "script": script})
    else:
        print(script, end="")
    return ExitCode.OK


def script_of(shell: str) -> str:
    """Make the script of one shell from the parser as it is."""
    from node.cli.main import build_parser

    places = dict(_places(build_parser(), "commons"))
    inner = [place for place in places if place != "commons"]
    if shell == "fish":
        below = " ".join(f"'{place}'" for place in inner)
        lines = [line for place, parser in places.items() for line in _fish(place, parser)]
        return FISH.format(below=below, lines="\n".join(lines))
    below = "|".join(f'"{place}"' for place in inner)
    say = 'words="{}"' if shell == "bash" else "compadd -- {}"
    cases = [
        f'        "{place}") {say.format(" ".join(_words(parser)))} ;;'
        for place, parser in places.items()
    ]
    form = BASH if shell == "bash" else ZSH
    return form.format(below=below, cases="\n".join(cases))


def _places(
    parser: argparse.ArgumentParser, at: str
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Give every place where a word can stand: the commands before it, and what parses it."""
    yield at, parser
    for name, (_, below) in _commands(parser).items():
        yield from _places(below, f"{at} {name}")


def _commands(
    parser: argparse.ArgumentParser,
) -> dict[str, tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to list them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - the same
            helps = {each.dest: each.help or "" for each in action._choices_actions}  # noqa: SLF001 - the same
            return {name: (helps[name], below) for name, below in action.choices.items()}
    return {}


def _words(parser: argparse.ArgumentParser) -> list[str]:
    """Everything that may stand at one place: commands, choices and flags."""
    return [*_commands(parser), *_choices(parser), *(flag for flag, _ in _flags(parser))]


def _choices(parser: argparse.ArgumentParser) -> list[str]:
    return [
        str(choice)
        for action in parser._actions  # noqa: SLF001 - argparse has no public way to list them
        if not action.option_strings and not isinstance(action, argparse._SubParsersAction)  # noqa: SLF001 - the same
        for choice in action.choices or ()
    ]


def _flags(parser: argparse.ArgumentParser) -> list[tuple[str, argparse.Action]]:
    return [
        (flag, action)
        for action in parser._actions  # noqa: SLF001 - argparse has no public way to list them
        for flag in action.option_strings
    ]


def _fish(place: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    start = f"complete -c commons -n \"__commons_at '{place}'\""
    for name, (summary, _) in _commands(parser).items():
        yield f"{start} -a {name} -d {_quoted(summary)}"
    for choice in _choices(parser):
        yield f"{start} -a {choice}"
    for flag, action in _flags(parser):
        name = f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}"
        takes = "" if action.nargs == 0 else " -r"
        yield f"{start} {name}{takes} -d {_quoted(action.help or '')}"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
