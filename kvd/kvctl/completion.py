"""Scripts that complete words of kvctl in a shell, made from the table of commands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from kvd.kvctl.command import Command
from kvd.kvctl.errors import BAD_ARGUMENTS, Failed
from kvd.kvctl.flags import Flag, Kind

if TYPE_CHECKING:
    from kvd.kvctl.context import Context

_CHOICES: Final = re.compile(r"\[?([a-z-]+(?:\|[a-z-]+)+)\]?")


# Keys are names that somebody else chose: no shell may see one before it is quoted.
_BASH: Final = """\
# kvctl completion bash: source <(kvctl completion bash)
_kvctl_spot() {{
  case "$1" in
{spots}
    *) return 1 ;;
  esac
}}

_kvctl_keys() {{
  local parent="${{1%/*}}" key
  while IFS= read -r key; do
    [[ $key == /* && $key == "$1"* ]] || continue
    printf -v key %q "$key"
    COMPREPLY+=("$key")
  done < <(command "${{typed[0]}}" "${{before[@]}}" --timeout 500ms \\
    --total-timeout 1s ls -p -- "${{parent:-/}}" 2>/dev/null </dev/null)
  [[ ${{#COMPREPLY[@]}} == 1 && ${{COMPREPLY[0]}} == */ ]] && compopt -o nospace
  return 0
}}

_kvctl() {{
  # COMP_WORDS is cut at colons and equal signs, of which URLs have some.
  local line="${{COMP_LINE:0:COMP_POINT}}" current="" where="" word skip="" number=0
  local kind choices flags
  local -a typed=() before=()
  COMPREPLY=()
  read -ra typed <<< "$line"
  if [[ $line != *[[:space:]] ]]; then
    current="${{typed[-1]}}"
    unset "typed[-1]"
  fi
  for word in "${{typed[@]:1}}"; do
    if [[ -z $where ]]; then before+=("$word"); fi
    if [[ -n $skip ]]; then skip=""; continue; fi
    case "$word" in
      {valued}) skip="$word" ;;
      -*) ;;
      *)
        if _kvctl_spot "${{where:+$where }}$word"; then
          if [[ -z $where ]]; then unset "before[-1]"; fi
          where="${{where:+$where }}$word"
        else
          number=$((number + 1))
        fi ;;
    esac
  done
  case "$skip" in
    {filed}) compopt -o default; return ;;
    ?*) return ;;
  esac
  _kvctl_spot "$where"
  if [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$current")
  elif [[ $number -gt 0 ]]; then
    return
  elif [[ $kind == key ]]; then
    _kvctl_keys "$current"
  elif [[ $kind == file ]]; then
    compopt -o default
  else
    mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$current")
  fi
  # What bash takes for the word begins behind the last of these.
  if [[ $current == *[:=]* && ${{#COMPREPLY[@]}} -gt 0 ]]; then
    COMPREPLY=("${{COMPREPLY[@]#"${{current%"${{current##*[:=]}}"}}"}}")
  fi
}}

complete -F _kvctl kvctl
"""
_ZSH: Final = """\
#compdef kvctl
# kvctl completion zsh: source <(kvctl completion zsh)
_kvctl_spot() {{
  case "$1" in
{spots}
    *) return 1 ;;
  esac
}}

_kvctl_keys() {{
  local parent="${{1%/*}}"
  local -a found
  found=("${{(@f)$(command "${{words[1]}}" "${{before[@]}}" --timeout 500ms \\
    --total-timeout 1s ls -p -- "${{parent:-/}}" 2>/dev/null </dev/null)}}")
  compadd -S '' -- "${{(@M)found:#/*/}}"
  compadd -- "${{(@)${{(@M)found:#/*}}:#*/}}"
}}

_kvctl() {{
  local current="${{words[CURRENT]}}" where="" word skip="" number=0
  local kind choices flags
  local -a before typed
  typed=("${{(@)words[2,CURRENT-1]}}")
  before=()
  for word in "${{typed[@]}}"; do
    if [[ -z $where ]]; then before+=("$word"); fi
    if [[ -n $skip ]]; then skip=""; continue; fi
    case "$word" in
      ({valued}) skip="$word" ;;
      (-*) ;;
      (*)
        if _kvctl_spot "${{where:+$where }}$word"; then
          if [[ -z $where ]]; then before[-1]=(); fi
          where="${{where:+$where }}$word"
        else
          number=$((number + 1))
        fi ;;
    esac
  done
  case "$skip" in
    ({filed}) _files; return ;;
    (?*) return ;;
  esac
  _kvctl_spot "$where"
  if [[ $current == -* ]]; then
    compadd -- ${{=flags}}
  elif [[ $number -gt 0 ]]; then
    return
  elif [[ $kind == key ]]; then
    _kvctl_keys "$current"
  elif [[ $kind == file ]]; then
    _files
  else
    compadd -- ${{=choices}}
  fi
}}

if [[ ${{funcstack[1]}} == _kvctl ]]; then
  _kvctl "$@"
else
  compdef _kvctl kvctl
fi
"""
_FISH: Final = """\
# kvctl completion fish: source (kvctl completion fish | psub)
function __kvctl_words
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
        else if contains -- $word {valued}
            set skip 1
        else if not string match -q -- '-*' $word
            echo $word
        end
    end
end

function __kvctl_at
    set -l path
    for word in (__kvctl_words)
        contains -- $word {words}; or return 1
        set -a path $word
    end
    test "$path" = "$argv[1]"
end

function __kvctl_keys
    set -l parent (string replace -r '[^/]*$' '' -- (commandline -ct))
    test -n "$parent"; or set parent /
    command kvctl --timeout 500ms --total-timeout 1s ls -p -- $parent \\
        2>/dev/null </dev/null | string match '/*'
end

{lines}
"""


class Spot(NamedTuple):
    """
    A place on a command line, behind so many words that are commands.

    :ivar path: these words, with a space between.
    :ivar words: commands that may follow, or what the argument may be.
    :ivar takes_key: whether the first argument is a key.
    :ivar takes_file: whether it is a file.
    """

    path: str
    words: tuple[str, ...]
    flags: tuple[Flag, ...]
    takes_key: bool
    takes_file: bool

    @property
    def dashed(self) -> tuple[str, ...]:
        """Its flags as they are typed."""
        return tuple(typed(name) for flag in self.flags for name in flag.names)


def run(context: Context) -> int:
    """Print the script of the shell that is named."""
    from kvd.kvctl.table import HELP_FLAG, PROGRAM  # noqa: PLC0415 -- it has this in it

    if len(context.args) != 1 or context.args[0] not in SHELLS:
        raise Failed(BAD_ARGUMENTS, f"completion: expected one of {', '.join(SHELLS)}")
    spots = list(spots_of(PROGRAM, HELP_FLAG))
    context.streams.out.write(SHELLS[context.args[0]](spots))
    return 0


def spots_of(program: Command, help_flag: Flag) -> Iterator[Spot]:
    """The program's own first, and then each command's."""
    names = tuple(each.name for each in program.subcommands)
    yield Spot("", names, program.flags, takes_key=False, takes_file=False)
    waiting = [(each, "") for each in reversed(program.subcommands)]
    while waiting:
        command, above = waiting.pop()
        path = f"{above} {command.name}".strip()
        arguments = command.arguments
        choices = _CHOICES.fullmatch(arguments)
        words = tuple(each.name for each in command.subcommands)
        if command.name == "help":
            words = names
        elif choices:
            words = tuple(choices[1].split("|"))
        yield Spot(
            path,
            words,
            (*command.flags, help_flag),
            takes_key=arguments.startswith(("<key>", "[key]")),
            takes_file=arguments.startswith("<file>"),
        )
        waiting += [(each, path) for each in reversed(command.subcommands)]


def typed(name: str) -> str:
    """A flag's name with its dashes."""
    return f"-{name}" if len(name) == 1 else f"--{name}"


def bash(spots: Sequence[Spot]) -> str:
    """For ``source <(kvctl completion bash)``."""
    return _BASH.format(
        valued=_either(_valued(spots)),
        filed=_either(_filed(spots)),
        spots="\n".join(_bash_case(each) for each in spots),
    )


def zsh(spots: Sequence[Spot]) -> str:
    """For ``source <(kvctl completion zsh)``, or as ``_kvctl`` on ``$fpath``."""
    return _ZSH.format(
        valued=_either(_valued(spots)),
        filed=_either(_filed(spots)),
        spots="\n".join(_bash_case(each) for each in spots),
    )


def fish(spots: Sequence[Spot]) -> str:
    """For ``source (kvctl completion fish | psub)``."""
    lines = []
    for spot in spots:
        where = f"-n '__kvctl_at \"{spot.path}\"'"
        if spot.words:
            lines.append(f"complete -c kvctl {where} -f -a '{' '.join(spot.words)}'")
        if spot.takes_key:
            lines.append(f"complete -c kvctl {where} -f -a '(__kvctl_keys)'")
        if spot.takes_file:
            lines.append(f"complete -c kvctl {where} -F")
        for flag in spot.flags:
            names = " ".join(
                f"-{'s' if len(name) == 1 else 'l'} {name}" for name in flag.names
            )
            how = ""
            if flag.kind is not Kind.SWITCH:
                how = " -rF" if flag.placeholder in _FILED else " -x"
            explained = flag.help.replace("\\", "\\\\").replace("'", "\\'")
            lines.append(f"complete -c kvctl {where} {names}{how} -d '{explained}'")
    return _FISH.format(
        valued=" ".join(_valued(spots)),
        words=" ".join(sorted({word for each in spots for word in each.path.split()})),
        lines="\n".join(lines),
    )


SHELLS: Final[dict[str, Callable[[Sequence[Spot]], str]]] = {
    "bash": bash,
    "zsh": zsh,
    "fish": fish,
}
_FILED: Final = frozenset({"file", "folder"})


def _valued(spots: Sequence[Spot]) -> list[str]:
    """Flags behind which a word stands that is no command."""
    return _dashed(
        flag for each in spots for flag in each.flags if flag.kind is not Kind.SWITCH
    )


def _filed(spots: Sequence[Spot]) -> list[str]:
    """Those of them whose word is a file."""
    return _dashed(
        flag for each in spots for flag in each.flags if flag.placeholder in _FILED
    )


def _dashed(flags: Iterator[Flag]) -> list[str]:
    return sorted({typed(name) for flag in flags for name in flag.names})


def _either(words: Sequence[str]) -> str:
    return "|".join(words)


def _bash_case(spot: Spot) -> str:
    """A branch that says what may stand there; zsh reads it in the same way."""
    kind = "key" if spot.takes_key else "file" if spot.takes_file else ""
    return (
        f'    "{spot.path}") kind="{kind}"\n'
        f'      choices="{" ".join(spot.words)}"\n'
        f'      flags="{" ".join(spot.dashed)}" ;;'
    )
