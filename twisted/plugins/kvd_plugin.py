"""Tells twistd that there is a ``kvd`` to run, and something to run where it is led."""

from twisted.application.service import ServiceMaker

kvd = ServiceMaker(
    "kvd",
    "kvd.tap",
    "A key-value daemon for etcd v2 clients.",
    "kvd",
)

when_leader = ServiceMaker(
    "kvd-when-leader",
    "kvd.whenleader.tap",
    "Another service, on the elected one of many processes.",
    "kvd-when-leader",
)
