"""Subscribers that come and go, and one that does not read."""

from __future__ import annotations

import contextlib
import socket

from tests.faults.conftest import Case
from tests.faults.followers import Crowd, Follower
from tests.faults.harness import FaultBridge, prompt

CLIENTS = 8


def test_clients_come_and_go(bridge: FaultBridge, case: Case) -> None:
    visits = case.times(25, 10_000 // CLIENTS)
    bridge.start()
    bridge.send(prompt(0, case.chance))
    bridge.settled()
    before = bridge.usage()
    crowd = Crowd(bridge, CLIENTS, visits, f"{case.seed} {case.name}")
    turns = 1
    while crowd.busy():
        assert bridge.send(prompt(turns, case.chance, tools=2))
        bridge.settled()
        turns += 1
    crowd.join()
    page = bridge.get(f"/api/v1/sessions/{bridge.session()}/items?limit=500")
    items = page["items"]
    while page["more"]:
        page = bridge.get(f"/api/v1/sessions/{bridge.session()}/items?limit=500&before={page['items'][0]['id']}")
        items = page["items"] + items
    last_seq = bridge.ledger_events("SELECT max(seq) FROM events")[0][0]
    for follower in (*crowd.followers, Follower(bridge, "late")):
        follower.agrees(items, last_seq)
    bridge.verify()
    held = bridge.no_leak_since(before)
    connections = sum(one.connections for one in crowd.followers)
    frames = sum(one.frames for one in crowd.followers)
    case.tell(clients=CLIENTS, disconnects=connections, frames=frames, turns=turns, **held.beside(before))


def test_clients_come_back_after_the_bridge_was_killed(bridge: FaultBridge, case: Case) -> None:
    kills = case.times(2, 30)
    bridge.start()
    followers = [Follower(bridge, f"{case.seed} {number}") for number in range(3)]
    for number in range(kills):
        assert bridge.send(prompt(number, case.chance, tools=2))
        for follower in followers:
            follower.visit(case.chance.choice([100, 3000]))
        bridge.crash()
        bridge.start()
        bridge.verify()
        for follower in followers[1:]:
            follower.visit(case.chance.choice([100, 3000]))
    last_seq = bridge.ledger_events("SELECT max(seq) FROM events")[0][0]
    for follower in followers:
        follower.agrees(bridge.items(), last_seq)
    case.tell(kills=kills, clients=len(followers), frames=sum(one.frames for one in followers))


def test_a_reader_that_stalls(bridge: FaultBridge, case: Case) -> None:
    megabytes = case.times(3, 40)
    bridge.start()
    bridge.send(prompt(0, case.chance))
    bridge.settled()
    before = bridge.usage()
    paths = ["/events", f"/api/v1/sessions/{bridge.session()}/events?last_event_id=0"]
    with contextlib.ExitStack() as stalled:
        for number in range(10):
            link = stalled.enter_context(bridge.connect())
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            link.sendall(f"GET {paths[number % 2]} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        healthy = Follower(bridge, f"{case.seed} healthy")
        bridge.send(f"!standin delay 0.01\n!standin chunks 100\n!standin size {megabytes * 1_000_000}")
        worst = 0.0
        while bridge.get("/status")["status"] == "running":
            healthy.visit(1 << 21)
            worst = max(worst, bridge.time_status())
        held = bridge.usage()
        healthy.agrees(bridge.items(), bridge.ledger_events("SELECT max(seq) FROM events")[0][0])
    after = bridge.no_leak_since(before)
    assert held.highest - before.resident < 150 + 12 * megabytes, held
    case.tell(stalled=10, answer_mb=megabytes, worst_status_s=worst, **after.beside(before))
