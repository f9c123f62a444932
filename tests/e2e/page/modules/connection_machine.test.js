// The connection machine, with a clock set by the test.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CONNECT_TIMEOUT,
  GIVE_UP,
  LEGAL,
  MAX_MISSES,
  ConnectionMachine,
  PING_INTERVAL,
  RETRY_DELAYS,
  SILENCE,
  WAKING,
} from "../../../../src/livereactor/playground/js/client/connection-machine.js";

const CLOSED = { kind: "closed", detail: "" };
const OVER = { kind: "over", detail: "" };
const GONE = { kind: "unreachable", detail: "" };

function live(now = 0) {
  const machine = new ConnectionMachine();
  machine.handle("start", now);
  machine.handle("opened", now);
  machine.handle("live", now);
  return machine;
}

test("from start to live: session, peer, ping at once", () => {
  const machine = new ConnectionMachine();
  assert.deepEqual(machine.handle("start", 0), ["openSession"]);
  assert.deepEqual(machine.handle("opened", 1), ["openPeer"]);
  assert.equal(machine.deadline, 1 + CONNECT_TIMEOUT);
  assert.deepEqual(machine.handle("live", 2), ["ping"]);
  assert.equal(machine.deadline, 2 + PING_INTERVAL);
});

test("pings go on every five seconds, answered or not, where no answer was ever seen", () => {
  const machine = live();
  for (let second = PING_INTERVAL; second < 100; second += PING_INTERVAL) {
    assert.deepEqual(machine.handle("tick", second), ["ping"]);
  }
});

test("a server that answered pings and stops is lost after twelve seconds", () => {
  const machine = live();
  machine.handle("pong", 1);
  let now = 0;
  while (machine.state === "ready") machine.handle("tick", (now = machine.deadline));
  assert.ok(now > 1 + SILENCE && now <= 1 + SILENCE + PING_INTERVAL, String(now));
  assert.equal(machine.problem.kind, "silent");
});

test("a page that wakes asks at once, and takes three seconds without an answer for a loss", () => {
  const machine = live();
  machine.handle("pong", 1);
  assert.deepEqual(machine.handle("woke", 2), ["ping"]);
  assert.equal(machine.deadline, 2 + WAKING);
  machine.handle("woke", 3); // asking twice does not put it off
  machine.handle("tick", 2 + WAKING);
  assert.equal(machine.state, "lost");
  assert.deepEqual(machine.problem, { kind: "silent", detail: "4 s" });
});

test("a page that wakes and is answered goes on", () => {
  const machine = live();
  machine.handle("pong", 1);
  machine.handle("woke", 2);
  machine.handle("pong", 2.1);
  assert.deepEqual(machine.handle("tick", 2 + WAKING), ["ping"]);
  assert.equal(machine.state, "ready");
});

test("a page that slept for longer than a silence may last tries to come back at once", () => {
  const machine = live();
  machine.handle("pong", 1);
  machine.handle("woke", 30);
  machine.handle("tick", 30);
  assert.equal(machine.state, "lost");
});

test("what wakes while it waits for its next try does not wait any longer", () => {
  const machine = live();
  machine.handle("broken", 10, CLOSED);
  assert.deepEqual(machine.handle("woke", 10.1), ["replacePeer"]);
  assert.equal(machine.problem.kind, "closed");
});

test("waking means nothing to a server that never answers pings, nor where nothing is open", () => {
  const machine = live();
  assert.deepEqual(machine.handle("woke", 1), ["ping"]);
  assert.equal(machine.deadline, PING_INTERVAL);
  assert.deepEqual(new ConnectionMachine().handle("woke", 1), []);
});

test("a lost peer is tried again, with growing waits, on the same session", () => {
  const machine = live();
  assert.deepEqual(machine.handle("broken", 10, CLOSED), ["closePeer"]);
  let now = 10;
  for (const delay of RETRY_DELAYS) {
    assert.equal(machine.deadline, now + delay);
    assert.deepEqual(machine.handle("tick", (now += delay)), ["replacePeer"]);
    machine.handle("broken", now, CLOSED);
  }
  assert.equal(machine.state, "lost");
});

test("the tries end", () => {
  const machine = live();
  machine.handle("broken", 0, CLOSED);
  let now = 0;
  for (let round = 0; machine.state === "lost"; round++) {
    assert.ok(round < 1000);
    machine.handle("tick", (now = machine.deadline));
    machine.handle("broken", now, CLOSED);
  }
  assert.equal(machine.state, "failed");
  assert.ok(now > GIVE_UP && now < GIVE_UP + 60);
});

test("a session that is over while its server lived has ended", () => {
  const machine = live();
  machine.handle("broken", 0, CLOSED);
  machine.handle("tick", 1);
  assert.deepEqual(machine.handle("over", 2, OVER), ["closePeer"]);
  assert.equal(machine.state, "ended");
});

test("a session that is over because the server was started again begins anew", () => {
  const machine = live();
  machine.handle("broken", 0, CLOSED);
  machine.handle("tick", 1);
  machine.handle("unreachable", 2, GONE);
  machine.handle("tick", 10);
  assert.deepEqual(machine.handle("over", 11, OVER), ["closePeer", "openSession"]);
  assert.equal(machine.state, "starting");
});

test("a reloaded model is started again, another end is an end", () => {
  const machine = live();
  const effects = machine.handle("ended", 1, { kind: "ended", detail: "reloaded" });
  assert.deepEqual(effects, ["closePeer", "openSession"]);
  assert.equal(machine.state, "starting");
  const other = live();
  assert.deepEqual(other.handle("ended", 1, { kind: "ended", detail: "error" }), ["closePeer"]);
  assert.equal(other.state, "ended");
});

test("a session that is over before it is reached is asked for again, but not for ever", () => {
  const machine = new ConnectionMachine();
  machine.handle("start", 0);
  for (let miss = 0; miss < MAX_MISSES; miss++) {
    machine.handle("opened", 1);
    assert.deepEqual(machine.handle("over", 1, OVER), ["closePeer", "openSession"]);
  }
  machine.handle("opened", 1);
  machine.handle("over", 1, OVER);
  assert.equal(machine.state, "ended");
});

test("the reason of a loss stays while a try runs", () => {
  const machine = live();
  machine.handle("broken", 0, CLOSED);
  machine.handle("tick", 1);
  assert.equal(machine.problem, CLOSED);
});

test("connecting ends after its time, with a word why", () => {
  const machine = new ConnectionMachine();
  machine.handle("start", 0);
  machine.handle("opened", 0);
  assert.deepEqual(machine.handle("tick", CONNECT_TIMEOUT - 1), []);
  machine.handle("tick", CONNECT_TIMEOUT);
  assert.equal(machine.state, "failed");
  assert.equal(machine.problem.kind, "timeout");
});

test("a session waits for its worker as long as it takes, and is connected to when it has it", () => {
  const machine = new ConnectionMachine();
  machine.handle("start", 0);
  assert.deepEqual(machine.handle("queued", 1), []);
  assert.equal(machine.deadline, null);
  assert.deepEqual(machine.handle("queued", 2000), []);
  assert.deepEqual(machine.handle("opened", 2001), ["openPeer"]);
});

test("a session that lost its worker is waited for again, wherever the page was with it", () => {
  const lost = live();
  lost.handle("broken", 1, CLOSED);
  const back = live();
  back.handle("broken", 1, CLOSED);
  back.handle("tick", 10);
  const connecting = new ConnectionMachine();
  connecting.handle("start", 0);
  connecting.handle("opened", 0);
  for (const machine of [live(), lost, back, connecting]) {
    assert.deepEqual(machine.handle("requeued", 11), ["closePeer", "openSession"]);
    assert.equal(machine.state, "queued");
    assert.equal(machine.problem, null);
    assert.deepEqual(machine.handle("opened", 12), ["openPeer"]);
  }
});

test("other credentials are asked for at once, not after five minutes of tries", () => {
  const machine = live();
  machine.handle("broken", 1, CLOSED);
  machine.handle("tick", 10);
  assert.deepEqual(machine.handle("denied", 11, { kind: "unauthorized", detail: "expired" }), ["closePeer"]);
  assert.equal(machine.state, "failed");
});

test("what is over is left behind without being ended again", () => {
  const machine = live();
  machine.handle("ended", 1, { kind: "ended", detail: "stopped" });
  assert.deepEqual(machine.handle("stop", 2), ["closePeer"]);
  assert.equal(machine.state, "idle");
});

test("stop ends the session from every state that has one", () => {
  const queued = new ConnectionMachine();
  queued.handle("start", 0);
  queued.handle("queued", 0);
  const failed = new ConnectionMachine();
  failed.handle("start", 0);
  failed.handle("refused", 0, CLOSED);
  for (const machine of [live(), queued, failed]) {
    assert.deepEqual(machine.handle("stop", 1), ["closePeer", "stopSession"]);
    assert.equal(machine.state, "idle");
    assert.equal(machine.deadline, null);
  }
});

test("whatever arrives in whatever order: states stay legal, and waiting states always wake", () => {
  const events = [
    "start",
    "stop",
    "queued",
    "opened",
    "requeued",
    "live",
    "broken",
    "denied",
    "unreachable",
    "over",
    "refused",
    "ended",
    "pong",
    "woke",
    "tick",
  ];
  let seed = 7;
  const random = (below) => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) % below;
  for (let history = 0; history < 2000; history++) {
    const machine = new ConnectionMachine();
    let now = 0;
    for (let step = 0; step < 40; step++) {
      const event = events[random(events.length)];
      now += random(400) / 10;
      const before = machine.state;
      machine.handle(event, now, CLOSED);
      assert.ok(machine.state in LEGAL);
      const waits = ["connecting", "ready", "lost", "reconnecting"].includes(machine.state);
      assert.equal(machine.deadline !== null, waits, `${before} --${event}--> ${machine.state}`);
    }
  }
});
