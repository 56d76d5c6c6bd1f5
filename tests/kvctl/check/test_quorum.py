"""What looks at members say of the cluster."""

from __future__ import annotations

import pytest

from kvd.kvctl.check.findings import Level
from kvd.kvctl.check.quorum import LAG_ENTRIES_MAX, check_quorum
from tests.kvctl.looks import member, missing, seen

LEADER = seen("m1", state="leader")


def levels(*looks):
    return {(each.about, each.level) for each in check_quorum(looks)}


def told(*looks):
    return {
        each.about: each.seen
        for each in check_quorum(looks)
        if each.level is not Level.OK
    }


def bad(*looks):
    return {each.about for each in check_quorum(looks) if each.level is Level.PROBLEM}


def test_three_members_that_are_well_have_nothing_to_be_done():
    findings = list(check_quorum([LEADER, seen("m2"), seen("m3")]))
    assert {each.level for each in findings} == {Level.OK}
    assert {each.seen for each in findings} == {
        "3 of 3 voting members answer and are healthy",
        "m1 leads in term 3",
        "members serve as etcd 3.4.23",
    }


def test_a_missing_member_is_a_warning_that_counts_what_is_left():
    found = told(LEADER, seen("m2"), missing("m3", "refused"))
    assert "not one more may fail" in found["quorum"]
    assert found["members"] == "m3 cannot be asked: refused"
    five = told(LEADER, seen("m2"), seen("m3"), seen("m4"), missing("m5"))
    assert "1 more may fail" in five["quorum"]
    assert not bad(LEADER, seen("m2"), missing("m3"))


def test_a_lost_majority_is_a_problem_with_its_numbers():
    found = told(LEADER, missing("m2"), missing("m3"))
    assert found["quorum"] == (
        "1 of 3 voting members answer and are healthy, 2 are needed"
    )
    assert "quorum" in bad(LEADER, missing("m2"), missing("m3"))


def test_a_member_that_is_not_healthy_does_not_count():
    sick = seen("m3", healthy=False, leader="")
    assert told(LEADER, seen("m2"), sick)["members"] == (
        "m3 says that it is not healthy, it knows no leader"
    )
    assert bad(LEADER, seen("m2"), sick) == {"members"}


def test_one_that_was_never_started_counts_for_the_quorum():
    unstarted = missing(member=member("", member_id="beef"))
    found = told(LEADER, unstarted)
    assert "beef was added and has never been started" in found["members"]
    assert "quorum" in bad(LEADER, unstarted)


def test_a_learner_has_no_vote():
    learner = seen("m4", metrics={"etcd_server_is_learner": 1})
    assert told(LEADER, seen("m2"), seen("m3"), learner) == {}


@pytest.mark.parametrize(
    ("size", "about"), [(1, "one voting"), (2, "2 voting"), (4, "4")]
)
def test_sizes_that_survive_less_than_they_might_are_told(size, about):
    looks = [LEADER, *(seen(f"m{number}") for number in range(2, size + 1))]
    assert told(*looks)["size"].startswith(about)
    assert not bad(*looks)


def test_without_a_leader_there_is_a_problem():
    lost = [seen(f"m{number}", leader="", healthy=True) for number in (1, 2, 3)]
    assert bad(*lost) == {"leader"}


def test_different_leaders_are_told_by_name():
    found = told(LEADER, seen("m2"), seen("m3", leader=""))
    assert found["leader"] == (
        "members take different ones for the leader (m1: m1, m2: m1, m3: nobody)"
    )
    assert not bad(LEADER, seen("m2"), seen("m3", leader=""))


def test_a_leader_that_is_not_in_the_list_is_told_by_its_id():
    found = list(check_quorum([seen("m1", leader="ff"), seen("m2", leader="ff")]))
    assert "ff leads in term 3" in {each.seen for each in found}


def test_endpoints_of_two_clusters_are_a_problem():
    assert "cluster" in bad(LEADER, seen("m2"), seen("m3", cluster_id="other"))


def test_different_versions_are_told():
    mixed = told(LEADER, seen("m2", version="3.3.0"), seen("m3"))
    assert mixed["version"] == "members run 3.3.0 and 3.4.23"
    own = told(seen("m1", own_version="0.1"), seen("m2", own_version="0.2"), seen("m3"))
    assert own["version"] == "members run kvd 0.1 and 0.2"


def test_a_follower_far_behind_is_told():
    leader = seen("m1", state="leader", lags={"am2": LAG_ENTRIES_MAX + 1, "am3": 5})
    assert told(leader, seen("m2"), seen("m3"))["members"] == (
        f"m2 is {LAG_ENTRIES_MAX + 1} log entries behind"
    )


def test_a_full_disk_is_a_problem_and_a_fuller_one_a_warning():
    full = seen("m2", metrics={"kvd_out_of_space": 1})
    assert bad(LEADER, full, seen("m3")) == {"space"}
    fuller = seen(
        "m2", metrics={"kvd_disk_free_bytes": 2e8, "kvd_disk_floor_bytes": 6e7}
    )
    assert "190.7 MiB left" in told(LEADER, fuller, seen("m3"))["space"]
    assert not bad(LEADER, fuller, seen("m3"))


def test_what_a_member_does_not_tell_is_said():
    partly = seen("m2", trouble="http://m2/metrics: status 404")
    assert "does not tell all" in told(LEADER, partly, seen("m3"))["members"]


def test_with_nobody_there_it_still_says_what_is_known():
    assert "quorum" in bad(missing("m1"), missing("m2"), missing("m3"))
    assert ("leader", Level.OK) not in levels(missing("m1"))
