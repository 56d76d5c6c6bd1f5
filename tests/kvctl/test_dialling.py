"""What is not even tried when an endpoint is dialled; the rest has real servers."""

from __future__ import annotations

import pytest

from kvd.kvctl.dialling import NotDialled, dial
from kvd.kvctl.endpoint import endpoint_of


def test_a_port_that_there_is_not_is_not_another_port():
    with pytest.raises(NotDialled) as caught:
        dial(
            endpoint_of("http://127.0.0.1:65537"),
            tls=None,
            server_name="",
            seconds_max=1.0,
            left=lambda: 1.0,
        )
    assert str(caught.value) == "dial tcp: address 65537: invalid port"
