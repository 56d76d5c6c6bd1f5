"""
``kvctl``: the command line for a cluster, a look-alike of etcdctl's v2 commands.

It blocks, and stands on the standard library alone: a command in a shell's loop has to
start fast. Twisted, treq and rich are imported by the functions that need them. For the
same reason values here are named tuples: to import attrs takes as long as all the rest.

A command is a :class:`kvd.kvctl.command.Command` in the table of
:mod:`kvd.kvctl.table`; it runs with a :class:`kvd.kvctl.context.Context`, asks through
its :class:`kvd.kvctl.cluster.Cluster`, and raises
:class:`kvd.kvctl.errors.Failed` for the line and the exit status that it ends with.
"""
