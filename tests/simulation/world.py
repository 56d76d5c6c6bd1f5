"""A simulated cluster on which a test writes its own story."""

from twisted.internet.defer import Deferred

from kvd.errors import KvdError, RequestError
from kvd.testing.cluster import SimulatedCluster
from kvd.testing.member import Sizes
from kvd.v2.authcodec import AuthRequest, encode_auth_request
from kvd.v2.commands import Asker, Command, Op, encode_command


class World:
    def __init__(self, members=3, *, seed="named", parts=None, **sizes):
        self.cluster = SimulatedCluster(
            seed,
            members,
            sizes=Sizes(**{"snapshot_count": 10_000, **sizes}),
            parts=parts,
        )
        self.network = self.cluster.network
        self.timeline = self.cluster.timeline
        self.cluster.start_all()

    # -- time ----------------------------------------------------------------

    def run(self, seconds):
        self.cluster.run(seconds)

    def until(self, condition, seconds=15.0):
        """Run until it holds; the value that made it hold."""
        until = self.timeline.now + seconds
        while not (value := condition()):
            assert self.timeline.now < until, "it never happened"
            assert self.timeline.step(until), "nothing more happens"
            if self.cluster.problems:
                raise self.cluster.problems[0]
        return value

    # -- members -------------------------------------------------------------

    def machine(self, member_id):
        return self.cluster.machines[member_id]

    def member(self, member_id):
        """The run of a member that is up and serving."""
        machine = self.machine(member_id)
        return self.until(lambda: machine.run and machine.run.ready and machine.run)

    def lead(self, among=None):
        """The leader, once it has committed in its term."""

        def leader():
            run = self.cluster.leader()
            if run is None or (among and run.member_id not in among):
                return None
            status = run.raft.status()
            return run if status.applied == status.last_index else None

        return self.until(leader)

    def others(self, run):
        return [
            self.member(member_id)
            for member_id, machine in self.cluster.machines.items()
            if member_id != run.member_id and not machine.removed
        ]

    def isolate(self, *member_ids):
        rest = [other for other in self.cluster.machines if other not in member_ids]
        self.network.isolate(member_ids, rest)

    def heal(self):
        self.network.heal()

    def settle(self):
        """Everybody has applied the same."""

        def same():
            runs = self.cluster.serving()
            up = [m for m in self.cluster.machines.values() if not m.removed]
            leader = self.cluster.leader()
            return (
                leader is not None
                and len(runs) == len(up)
                and len({run.node.applied_index for run in runs}) == 1
                and leader.raft.status().last_index == leader.node.applied_index
            )

        self.until(same)
        runs = self.cluster.serving()
        assert len({run.v2.digest() + run.auth.digest() for run in runs}) == 1

    # -- requests ------------------------------------------------------------

    def ask(self, run, deferred_of):
        """Begin in the member's own turn; a list that will hold the answer."""
        answers = []

        def begin():
            deferred: Deferred = deferred_of(run)
            deferred.addErrback(lambda failure: failure.value)
            deferred.addCallback(answers.append)

        run.process.after(0, begin)
        return answers

    def begin(self, run, op, key, value="", **fields):
        command = Command(op, key, value=value, **fields)
        return self.ask(
            run, lambda run: run.node.propose("v2", encode_command(command))
        )

    def authorise(self, run, change, by=None):
        """Change users, roles or the switch, and wait for the answer."""
        request = AuthRequest(by or Asker(), change)
        body = encode_auth_request(request)
        answers = self.ask(run, lambda run: run.node.propose("auth", body))
        self.until(lambda: answers)
        if isinstance(answers[0], KvdError):
            raise answers[0]
        return answers[0].value

    def put(self, run, key, value, *, ttl=None):
        """Write, and wait for the event."""
        expiration = None
        if ttl is not None:
            expiration = run.machine.clock.wall_time_ns() + int(ttl * 1e9)
        answers = self.begin(run, Op.SET, key, value, expiration_ns=expiration)
        self.until(lambda: answers)
        if isinstance(answers[0], KvdError):
            raise answers[0]
        return answers[0].value

    def read(self, run, key):
        """Quorum read: the event, or the RequestError."""
        answers = self.ask(run, lambda run: run.node.read_index())
        self.until(lambda: answers)
        if isinstance(answers[0], KvdError):
            raise answers[0]
        return self.get(run, key)

    @staticmethod
    def get(run, key):
        """Local read; None when there is no such key."""
        try:
            return run.v2.get(key, recursive=False, sorted=False)
        except RequestError as refusal:
            if refusal.code == 100:
                return None
            raise

    def value(self, run, key):
        event = self.get(run, key)
        return None if event is None else event.node.value

    def watch(self, run, since, *, stream=True, path="/"):
        """A list that fills with what the watcher is told."""
        told = []
        watched = run.v2.watch(
            path, recursive=True, stream=stream, since=since, callback=told.append
        )
        if watched.event is not None:
            told.append(watched.event)
        return told

    def actions(self, key):
        return self.cluster.chronicle.actions(key)
