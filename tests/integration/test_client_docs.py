"""Every example of docs/client.rst and docs/recipes.rst, run as it stands but on another port."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap

import pytest
from twisted.internet.task import Clock

from kvd.testing.servers import Make, kill_all, lone_member, start_all
from kvd.tls.generate import main
from tests.integration.reader import ROOT

_BLOCK = re.compile(r"^\.\. code-block:: python\n\n((?:   .*\n|\n)+)", re.MULTILINE)
EXAMPLES = [
    textwrap.dedent(each)
    for page in ("client", "recipes")
    for each in _BLOCK.findall((ROOT / f"docs/{page}.rst").read_text())
]
SAID = {
    "client.get": "hello 60\n/greeting is not there\n",
    "client.watch": "set /jobs/2 mop\n",
    "Lock(": "it is our turn: True True\nit was released\n",
    "Election(": "host-1 leads True\nnow None\n",
    "Queue(": "sweep 1 True\nsweep 2\nmop 1\n()\n",
    "Counter(": "1 11\n16\n16 is not added twice\n",
    "DoubleBarrier(": "both are in: True\nboth are out\n",
    " Barrier(": "it is closed: True True\npassed\n",
    "ServiceRegistry(": "[('web-1', 'a')]\n200 hello\n",
    "Topic(": "milk is after the first: True\nbilling goes on with milk\n",
    "ConfigWatcher(": "{{'pool/size': 4}} True\npool/size was 4 and is 8\n"
    "ValueError: a pool has 1 to 100 members so it is still 8\n",
    "client.members": "alone http://127.0.0.1:12379\n{version} True\n",
}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    server = lone_member(Make.KVD, tmp_path_factory.mktemp("alone"))
    try:
        start_all([server])
        yield server
    finally:
        kill_all([server])


def example(word):
    (found,) = [each for each in EXAMPLES if word in each]
    return found


def test_every_example_is_run_here():
    assert len(EXAMPLES) == len(SAID) + 1


@pytest.mark.parametrize("word", SAID)
def test_an_example_prints_what_it_says(alone, word):
    program = example(word).replace("http://127.0.0.1:2379", alone.url)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    version = re.search(rb'"etcdserver":"([^"]+)', alone.ask("/version")[2])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == SAID[word].format(version=version[1].decode())


def test_the_secured_client_takes_the_files_that_kvd_makes(tmp_path, monkeypatch):
    main([str(tmp_path), "--client", "ann"])
    monkeypatch.chdir(tmp_path)
    (program,) = [each for each in EXAMPLES if "TLS.from_files" in each]
    names = {}
    exec(program, names)
    assert names["secured"](Clock()).endpoints == ("https://127.0.0.1:2379",)
