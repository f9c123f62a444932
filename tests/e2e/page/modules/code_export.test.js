// Commands exported as programs.
import assert from "node:assert/strict";
import { test } from "node:test";
import { asJavaScript, asPython } from "../../../../src/livereactor/playground/js/views/code-export.js";

const SETUP = { model: "walk", url: "http://localhost:8080", kind: "runtime", track: "main_video" };
const step = (seconds, type, data = {}) => ({ at: new Date(1000 * seconds), type, data });
const EVERYTHING = { a: null, b: true, c: [1.5, false], 'd"e': { text: "ü\n" }, f: { upload_id: "u", name: "cat.png" } };

test("a program of Python connects, shows, commands and leaves", () => {
  const code = asPython(SETUP, [step(1, "set_forward", { forward: 1 }), step(2.5, "jump")]);
  assert.match(code, /Reactor\("walk", local=True, api_url="http:\/\/localhost:8080"\)/);
  assert.match(code, /reactor.track\("main_video"\).on_frame\(show\)/);
  const body = code.slice(code.indexOf("    await reactor.send"), code.indexOf("    await asyncio.sleep(1)"));
  assert.equal(
    body,
    [
      '    await reactor.send_command("set_forward", {"forward": 1})',
      "    await asyncio.sleep(1.5)",
      '    await reactor.send_command("jump", {})',
      "",
    ].join("\n"),
  );
});

test("values are written as the language has them", () => {
  const steps = [step(0, "go", EVERYTHING)];
  assert.ok(
    asPython(SETUP, steps).includes(
      '{"a": None, "b": True, "c": [1.5, False], "d\\"e": {"text": "ü\\n"}, "f": await reactor.upload_file("cat.png")}',
    ),
  );
  assert.ok(
    asJavaScript(SETUP, steps).includes(
      '{ a: null, b: true, c: [1.5, false], "d\\"e": { text: "ü\\n" }, f: await reactor.uploadFile(file) }',
    ),
  );
});

test("a movement of a slider is its end, and pauses are neither a hand's nor a night's", () => {
  const steps = [
    step(0, "set_rain", { rain: 0.1 }),
    step(0.02, "set_rain", { rain: 0.2 }),
    step(0.9, "set_rain", { rain: 0.3 }),
    step(0.91, "drop"),
    step(0.92, "drop"),
    step(99, "set_rain", { rain: 0 }),
  ];
  const sent = [...asPython(SETUP, steps).matchAll(/sleep\((?<pause>[\d.]+)\)|"rain": (?<rain>[\d.]+)|(?<drop>drop)/g)];
  assert.deepEqual(
    sent.map(({ groups }) => groups.rain ?? groups.drop ?? `${groups.pause} s`),
    ["0.3", "drop", "drop", "5 s", "0", "1 s"],
  );
});

test("at a coordinator a token is asked for, and none is written down", () => {
  const setup = { ...SETUP, kind: "coordinator", track: "" };
  assert.match(asPython(setup, []), /jwt=os.environ\["REACTOR_TOKEN"\]/);
  assert.match(asJavaScript(setup, []), /await reactor.connect\(token\);/);
  assert.doesNotMatch(asPython(setup, []), /on_frame|local=/);
  assert.doesNotMatch(asJavaScript(setup, []), /trackReceived|local: true/);
});
