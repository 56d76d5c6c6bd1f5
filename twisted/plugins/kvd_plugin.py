"""Tells twistd that there is a ``kvd`` to run."""

from twisted.application.service import ServiceMaker

kvd = ServiceMaker(
    "kvd",
    "kvd.tap",
    "A key-value daemon for etcd v2 clients.",
    "kvd",
)
