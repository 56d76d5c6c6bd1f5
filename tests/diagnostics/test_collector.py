"""What is asked of a member's surroundings."""

from kvd.diagnostics.collector import MemberCollector, Surroundings
from kvd.diagnostics.exposition import Exposition
from kvd.histogram import Histogram
from tests.test_service import House


def test_certificates_and_pauses_are_told_where_there_are_any():
    house = House()
    service = house.start()
    house.run()
    parts = service._parts
    pages = []
    paused = Histogram((1.0,))
    paused.observe(0.5)
    for surroundings in (
        Surroundings(loop=service._watchdog),
        Surroundings(
            loop=service._watchdog,
            pauses=(paused,),
            certificates=lambda: [("/etc/kvd.pem", 12.5)],
        ),
    ):
        exposition = Exposition()
        exposition.add(
            MemberCollector(
                config=house.config,
                node=parts.node,
                v2=parts.v2,
                cluster=parts.cluster,
                transport=parts.transport,
                storage=service._opened.persistence,
                site=parts.site,
                surroundings=surroundings,
                clock=house.reactor,
            )
        )
        pages.append(exposition.page().decode())
    house.stop()
    for name in ("kvd_certificate_days_left", "kvd_gc_pause_seconds"):
        assert name not in pages[0]
    assert '\nkvd_certificate_days_left{file="/etc/kvd.pem"} 12.5\n' in pages[1]
    assert '\nkvd_gc_pause_seconds_sum{generation="0"} 0.5\n' in pages[1]
