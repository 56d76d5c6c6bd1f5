"""``/debug/vars``: variables as Go's ``expvar`` shows them (V2-SPEC 13)."""

from __future__ import annotations

import json

from kvd.http.diagnosis import Diagnosis
from kvd.http.exchange import Response
from kvd.http.render import encode, quoted
from kvd.node.interfaces import Member
from kvd.raft.messages import Role
from kvd.raft.status import RaftStatus

_JSON = b"Content-Type: application/json; charset=utf-8\r\n"
_ROLES = {
    Role.FOLLOWER: "StateFollower",
    Role.PRE_CANDIDATE: "StatePreCandidate",
    Role.CANDIDATE: "StateCandidate",
    Role.LEADER: "StateLeader",
}


class Variables:
    """One JSON object, a variable a line."""

    def __init__(self, *, member: Member, diagnosis: Diagnosis) -> None:
        self._member = member
        self._diagnosis = diagnosis

    def get(self) -> Response:
        """All of them, by name."""
        diagnosis = self._diagnosis
        words = ",".join(quoted(word) for word in diagnosis.command_line)
        memory = json.dumps(dict(diagnosis.memory()), separators=(",", ":"))
        lines = (
            f'"cmdline": [{words}]',
            f'"file_descriptor_limit": {diagnosis.descriptors_max()}',
            f'"memstats": {memory}',
            f'"raft.status": {_raft(self._member.status().raft)}',
        )
        return Response(200, _JSON, encode("{\n" + ",\n".join(lines) + "\n}\n"))


def _raft(status: RaftStatus) -> str:
    progress = {
        f"{each.member_id:x}": (each.match, each.next, each.state)
        for each in status.progress
    }
    if status.role is Role.LEADER:
        last = status.last_index
        progress[f"{status.member_id:x}"] = (last, last + 1, "replicate")
    shown = ",".join(
        f'"{member_id}":{{"match":{match},"next":{after},"state":"State'
        f'{state.capitalize()}"}}'
        for member_id, (match, after, state) in sorted(progress.items())
    )
    return (
        f'{{"id":"{status.member_id:x}","term":{status.term},'
        f'"vote":"{status.vote:x}","commit":{status.commit},'
        f'"lead":"{status.leader:x}","raftState":"{_ROLES[status.role]}",'
        f'"applied":{status.applied},"progress":{{{shown}}},'
        f'"leadtransferee":"{status.transferring_to:x}"}}'
    )
