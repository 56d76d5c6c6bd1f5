"""Values and the ranges that they fall into."""

from kvd.histogram import Histogram, doubling


def test_each_bound_is_twice_the_one_before():
    assert doubling(0.5, 4) == (0.5, 1.0, 2.0, 4.0)


def test_a_value_on_a_bound_belongs_below_it():
    for observe in (Histogram.observe, lambda self, value: self.observer()(value)):
        histogram = Histogram((1.0, 2.0))
        for value in (0.5, 1.0, 1.5, 2.0, 2.5, 100.0):
            observe(histogram, value)
        assert histogram.counts == [2, 2, 2]
        assert histogram.total == 107.5
