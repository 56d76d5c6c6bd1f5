"""
Flags over environment over file over default: one checked configuration.

Nothing here touches the system: the environment, and how a file is read, are given.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs

from kvd.config import Config
from kvd.errors import ConfigError
from kvd.options.advertised import with_reachable_urls
from kvd.options.checks import founding_problems, relation_problems
from kvd.options.document import read_document
from kvd.options.given import Given, problem, shown
from kvd.options.schemes import scheme_warnings
from kvd.options.table import BY_NAME, OLD_NAMES, OPTIONS
from kvd.options.unhonoured import EXPERIMENTAL, UNHONOURED_BY_NAME, V3
from kvd.options.values import Kind, UnfitError

FILE_FLAGS: Final = ("config", "config-file")
_FILE_VARIABLES: Final = ("KVD_CONFIG_FILE", "KVD_CONFIG", "ETCD_CONFIG_FILE")
_PREFIXES: Final = ("ETCD_", "KVD_")  # the later one wins
_OTHER_VARIABLES: Final = frozenset({"ETCD_UNSUPPORTED_ARCH"})
_DEFAULTS: Final = Config()


@attrs.frozen
class Loaded:
    """
    :ivar warnings: lines for the log; the member starts all the same.
    :ivar file: the configuration file, empty when there is none.
    :ivar given: what was set, by option; the rest are defaults.
    """

    config: Config
    warnings: tuple[str, ...]
    file: str
    given: Mapping[str, Given]


def load(
    *,
    flags: Sequence[tuple[str, str]],
    environ: Mapping[str, str],
    read_file: Callable[[str], bytes],
    is_new: Callable[[str], bool],
    is_proxy: Callable[[str], bool] = lambda _: False,
    default_host: Callable[[], str] = str,
) -> Loaded:
    """
    :param flags: name without dashes, and text, in the order of the command line.
    :param is_new: whether a data folder holds no member yet, so that the options that
        found a cluster are checked too.
    :param is_proxy: whether it holds a proxy, which it stays.
    :param default_host: this machine's address towards everywhere else, empty when it
        has none.
    :raises ConfigError: every mistake that was found, one line each; after them the
        warnings, marked as such, for they may tell why.
    """
    gathered = _Gathered()
    path = _file_path(flags, environ, gathered)
    if path:
        gathered.add_file(path, read_file)
    gathered.add_environment(environ)
    gathered.add_flags(flags)
    config = _config(gathered)
    given, unsure = gathered.given, gathered.unsure()
    config, lines = with_reachable_urls(config, given, default_host)
    gathered.warnings.extend(lines)
    proxy = config.proxy != "off" or "proxy" in unsure
    if "data-dir" not in unsure:
        proxy = proxy or is_proxy(config.data_dir)
    gathered.problems.extend(relation_problems(config, given, unsure, proxy=proxy))
    gathered.warnings.extend(scheme_warnings(config))
    if not proxy and "data-dir" not in unsure and is_new(config.data_dir):
        gathered.problems.extend(founding_problems(config, given, unsure))
    gathered.warn_of_noted()
    if gathered.problems:
        warnings = (f"warning: {line}" for line in gathered.warnings)
        raise ConfigError([*gathered.problems, *warnings], unread=gathered.unread)
    return Loaded(config, tuple(gathered.warnings), path, gathered.given)


class _Gathered:
    """What the sources say, the stronger one last."""

    def __init__(self) -> None:
        self.given: dict[str, Given] = {}
        self.warnings: list[str] = []
        self.problems: list[str] = []
        self.bad: set[str] = set()  # options whose own text is refused
        self.incomplete = False  # a file that may set more was not read
        self.unread = False  # a flag's text is none that its option may have
        self._noted: dict[str, Given] = {}

    def unsure(self) -> frozenset[str]:
        """Options for which a default stands in, though another value was meant."""
        unsure = set(self.bad)
        if self.incomplete:
            unsure |= BY_NAME.keys() - self.given.keys()
        if "name" in unsure:  # they follow from it
            unsure |= {"data-dir", "initial-cluster"} - self.given.keys()
        if unsure & {"discovery", "discovery-srv"}:
            unsure |= {"initial-cluster"} - self.given.keys()
        return frozenset(unsure)

    def add_file(self, path: str, read_file: Callable[[str], bytes]) -> None:
        try:
            options, problems = read_document(read_file(path), path)
        except OSError as error:
            self.problems.append(f"config-file: {path}: {error.strerror or error}")
            self.incomplete = True
        except ConfigError as error:
            self.problems.extend(error.problems)
            self.incomplete = True
        else:
            self.problems.extend(problems)
            for name, given in options.items():
                self._add(name, given)

    def add_environment(self, environ: Mapping[str, str]) -> None:
        """An empty variable is an unset one, as for etcd."""
        for prefix in _PREFIXES:
            for variable in sorted(environ):
                if (
                    not variable.startswith(prefix)
                    or not environ[variable]
                    or variable in _FILE_VARIABLES
                    or variable in _OTHER_VARIABLES
                ):
                    continue
                name = variable.removeprefix(prefix).lower().replace("_", "-")
                option = BY_NAME.get(name)
                where = f"environment variable {variable}"
                if option is not None and option.ours and prefix == "ETCD_":
                    self.warnings.append(
                        f"{where} is ignored: it is kvd's own, set KVD_"
                        f"{variable.removeprefix(prefix)}"
                    )
                    continue
                text = environ[variable].encode("utf-8", "backslashreplace").decode()
                self._add(name, Given(text, where))

    def add_flags(self, flags: Sequence[tuple[str, str]]) -> None:
        for name, text in flags:
            if name not in FILE_FLAGS:
                self._add(name, Given(text, f"flag --{name}", flag=True))

    def refuse(self, name: str, error: ValueError, given: Given) -> None:
        """What stands there is not what the option may be."""
        self.problems.append(problem(name, str(error), given))
        self.bad.add(name)
        if given.flag and not isinstance(error, UnfitError):
            self.unread = True

    def warn_of_noted(self) -> None:
        """One line for all options that have nothing yet to change."""
        if self._noted:
            names = ", ".join(f"{name} ({g.where})" for name, g in self._noted.items())
            self.warnings.append(f"accepted, but {V3}: {names}")

    def _add(self, name: str, given: Given) -> None:
        name = OLD_NAMES.get(name, name)
        if name in BY_NAME:
            before = self.given.get(name)
            if before is not None and "variable" in before.where:
                self.warnings.append(
                    f"{name}: {given.where} goes before {before.where}"
                )
            self.given[name] = given
        elif name in UNHONOURED_BY_NAME or name.startswith(EXPERIMENTAL):
            self._add_unhonoured(name, given)
        else:
            self.warnings.append(_unknown(name, given))

    def _add_unhonoured(self, name: str, given: Given) -> None:
        option = UNHONOURED_BY_NAME.get(name)
        if option is None:
            why = "kvd has none of etcd's experiments"
        else:
            why = option.why
            try:
                if option.changes_nothing(given.text) and not given.nested:
                    return
                read(option.kind, given)
            except ValueError as error:
                self.refuse(name, error, given)
                return
        if option is not None and option.refused:
            self.problems.append(problem(name, why, given))
        elif option is not None and option.noted:
            self._noted[name] = given
        else:
            self.warnings.append(
                f"option {name} is known but not honoured ({why}; {given.where})"
            )


def read(kind: Kind, given: Given) -> object:
    """:raises ValueError: what was expected instead."""
    if given.nested:
        raise ValueError("expected a value, not a mapping")
    return kind.read(given.text)


def _config(gathered: _Gathered) -> Config:
    """Defaults stand in for what is refused, so that the rest is checked too."""
    values: dict[str, object] = {}
    for option in OPTIONS:
        given = gathered.given.get(option.name)
        if given is None:
            continue
        try:
            values[option.field] = read(option.kind, given)
        except ValueError as error:
            gathered.refuse(option.name, error, given)
    name = values.get("name", _DEFAULTS.name)
    values.setdefault("data_dir", f"{name}.kvd")
    urls: object = _DEFAULTS.initial_advertise_peer_urls
    if name != _DEFAULTS.name:  # as etcd: with the name only, nothing else is wrong
        urls = values.get("initial_advertise_peer_urls", urls)
    discovered = values.get("discovery") or values.get("discovery_srv")
    values.setdefault("initial_cluster", () if discovered else ((name, urls),))
    return Config(**values)  # type: ignore[arg-type]  # each read by its own kind


def _file_path(
    flags: Sequence[tuple[str, str]], environ: Mapping[str, str], gathered: _Gathered
) -> str:
    named = [text for name, text in flags if name in FILE_FLAGS and text]
    if len(set(named)) > 1:
        gathered.problems.append(
            f"config-file: expected one file, got {' and '.join(map(shown, named))}"
        )
        gathered.incomplete = True
    named += [environ[name] for name in _FILE_VARIABLES if environ.get(name)]
    return named[0] if named else ""


def _unknown(name: str, given: Given) -> str:
    near = nearest(name.replace("_", "-").lower())
    hint = f", did you mean {near}?" if near else ""
    return f"unknown option {shown(name)} is ignored{hint} ({given.where})"


def nearest(name: str) -> str:
    """The option whose name is most like it, empty when none is."""
    names = [*BY_NAME, *OLD_NAMES, *UNHONOURED_BY_NAME, *FILE_FLAGS]
    return next(iter(difflib.get_close_matches(name, names, n=1, cutoff=0.6)), "")
