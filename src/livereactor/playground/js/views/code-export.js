/** Export the commands of a session as a program for the official clients. Pure. */

/** @typedef {import("../shared/json.js").JsonValue} JsonValue */
/** @typedef {import("../shared/json.js").JsonObject} JsonObject */
/**
 * Model and server of the program. `track`: the visible output track; empty: none.
 * @typedef {{model: string, url: string, kind: "runtime" | "coordinator", track: string}} Setup
 */
/** An accepted command. @typedef {{at: Date, type: string, data: JsonObject}} Step */
/** @typedef {Step & {pauseMs: number}} Paused */

/** Shorter pauses are left out, and longer ones are cut. */
const SHORTEST_MS = 50;
const LONGEST_MS = 5000;
/** Values of one parameter that follow each other faster are one movement; only its last value is exported. */
const MOVEMENT_MS = 1000;

/**
 * @param {Setup} setup
 * @param {readonly Step[]} steps in order
 */
export function asPython({ model, url, kind, track }, steps) {
  const access = kind === "runtime" ? "local=True" : 'jwt=os.environ["REACTOR_TOKEN"]';
  const lines = paused(steps).flatMap(({ type, data, pauseMs }) => [
    ...(pauseMs ? [`await asyncio.sleep(${pauseMs / 1000})`] : []),
    `await reactor.send_command(${JSON.stringify(type)}, ${python(data)})`,
  ]);
  const shown = track
    ? [
        "def show(frame, number, time_us, tag):",
        "    print(frame.shape)  # uint8, (height, width, 3), RGB",
        "",
        "",
      ]
    : [];
  return [
    "# pip install reactor-sdk",
    "import asyncio",
    ...(kind === "runtime" ? [] : ["import os  # REACTOR_TOKEN: what `livereactor token` prints"]),
    "",
    "from reactor_sdk import Reactor",
    "",
    "",
    ...shown,
    "async def main():",
    `    reactor = Reactor(${JSON.stringify(model)}, ${access}, api_url=${JSON.stringify(url)})`,
    "    await reactor.connect()",
    ...(track ? [`    reactor.track(${JSON.stringify(track)}).on_frame(show)`] : []),
    ...[...lines, "await asyncio.sleep(1)", "await reactor.disconnect()"].map((line) => `    ${line}`),
    "",
    "",
    "asyncio.run(main())",
    "",
  ].join("\n");
}

/**
 * @param {Setup} setup
 * @param {readonly Step[]} steps in order
 */
export function asJavaScript({ model, url, kind, track }, steps) {
  const options = { modelName: model, apiUrl: url, ...(kind === "runtime" && { local: true }) };
  const isSending = steps.some(({ data }) => Object.values(data).some(isUpload));
  const lines = paused(steps).flatMap(({ type, data, pauseMs }) => [
    ...(pauseMs ? [`await new Promise((done) => setTimeout(done, ${pauseMs}));`] : []),
    `await reactor.sendCommand(${JSON.stringify(type)}, ${javascript(data)});`,
  ]);
  return [
    "// npm install @reactor-team/js-sdk",
    'import { Reactor } from "@reactor-team/js-sdk";',
    "",
    ...(kind === "runtime" ? [] : ["const token = await (await fetch(\"/your/token\")).text(); // see POST /tokens"]),
    ...(isSending ? ['const [file] = document.querySelector("input[type=file]").files;'] : []),
    `const reactor = new Reactor(${javascript(options)});`,
    ...(track
      ? [
          'reactor.on("trackReceived", (name, track, stream) => {',
          `  if (name === ${JSON.stringify(track)}) document.querySelector("video").srcObject = stream;`,
          "});",
        ]
      : []),
    `await reactor.connect(${kind === "runtime" ? "" : "token"});`,
    ...lines,
    "",
  ].join("\n");
}

/**
 * @param {readonly Step[]} steps
 * @returns {Paused[]} each with the pause before the command
 */
function paused(steps) {
  /** @type {Paused[]} */
  const kept = [];
  let before = steps[0]?.at;
  for (const step of steps) {
    const gapMs = step.at.getTime() - (before?.getTime() ?? 0);
    before = step.at;
    const last = kept.at(-1);
    if (last && last.type === step.type && step.type.startsWith("set_") && gapMs < MOVEMENT_MS) last.data = step.data;
    else kept.push({ ...step, pauseMs: gapMs < SHORTEST_MS ? 0 : Math.min(LONGEST_MS, gapMs) });
  }
  return kept;
}

/** @param {JsonValue} value @returns {value is {upload_id: string, name: string}} */
function isUpload(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value) && typeof value.upload_id === "string";
}

/** @param {JsonValue} value @returns {string} */
function python(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (isUpload(value)) return `await reactor.upload_file(${JSON.stringify(value.name)})`;
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value !== "object") return JSON.stringify(value);
  return `{${members(value).map(([name, each]) => `${JSON.stringify(name)}: ${python(each)}`).join(", ")}}`;
}

/** @param {JsonValue} value @returns {string} */
function javascript(value) {
  if (isUpload(value)) return "await reactor.uploadFile(file)";
  if (Array.isArray(value)) return `[${value.map(javascript).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const parts = members(value).map(([name, each]) => `${key(name)}: ${javascript(each)}`);
  return parts.length ? `{ ${parts.join(", ")} }` : "{}";
}

/** @param {JsonObject} value */
function members(value) {
  return Object.entries(value);
}

/** @param {string} name */
function key(name) {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name);
}
