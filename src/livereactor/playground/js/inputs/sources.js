/** Sources for the input tracks: camera, screen, microphone, a file, or a test signal. */

import { CommandRefused } from "../client/pending-requests.js";
import { element } from "../shared/dom.js";
import { readable, sentence } from "../shared/text.js";
import { explainDevice } from "../words/problems.js";

/** @typedef {import("../client/signalling.js").Track} Track */
/**
 * A source. `end` releases the device or stops the signal.
 * @typedef {{media: MediaStreamTrack, end: () => void}} Source
 */
/** @typedef {(panel: SourcePanel) => Promise<Source>} Opener */

const CAMERA_SIZES = /** @type {const} */ ([
  ["640 × 360", 640, 360],
  ["1280 × 720", 1280, 720],
  ["1920 × 1080", 1920, 1080],
]);
const PATTERN = { width: 640, height: 360, fps: 30 };

export class Sources {
  #client;
  #root;
  /** @type {SourcePanel[]} */
  #panels = [];

  /**
   * @param {import("../client/client.js").Client} client
   * @param {HTMLElement} root
   */
  constructor(client, root) {
    this.#client = client;
    this.#root = root;
    client.unpublished.listen(({ track, error }) => this.#panels.find(({ name }) => name === track)?.lost(error));
  }

  /** Whether an input of the model is not published from this page. */
  get wanting() {
    return this.#panels.some((panel) => !panel.sending);
  }

  /** Show a panel per input. Unchanged inputs keep theirs, so a reconnect keeps the camera. @param {Track[]} tracks */
  show(tracks) {
    const inputs = tracks.filter(({ direction }) => direction === "sendonly");
    const names = inputs.map(({ name }) => name).join();
    if (names === this.#panels.map(({ name }) => name).join()) return;
    this.stop();
    this.#panels = inputs.map((track) => new SourcePanel(this.#client, track));
    this.#root.replaceChildren(...this.#panels.map(({ root }) => root));
  }

  /** Release every device. */
  stop() {
    for (const panel of this.#panels) void panel.stop();
  }
}

/** The panel of one input track. */
class SourcePanel {
  name;
  #client;
  #kind;
  /** @type {Source | null} */
  #source = null;
  #complaint = element("div", { class: "complaint", role: "alert" });
  #buttons = element("div", { class: "buttons" });
  #preview = element("video", { class: "preview", muted: true, autoplay: true, playsInline: true, hidden: true });
  #file = element("input", { type: "file", hidden: true });
  #stop = element("button", { type: "button", hidden: true, onclick: () => void this.stop() }, "Stop sending");
  devices = element("select", { "aria-label": "Device" });
  sizes = element(
    "select",
    { "aria-label": "Camera size" },
    ...CAMERA_SIZES.map(([words]) => element("option", {}, words)),
  );
  #settings = element("div", { class: "settings" });
  #hint = element("p", { class: "hint" });

  /**
   * @param {import("../client/client.js").Client} client
   * @param {Track} track
   */
  constructor(client, { name, kind }) {
    this.name = name;
    this.#client = client;
    this.#kind = kind;
    this.#file.accept = `${kind}/*`;
    /** @type {[string, string, Opener][]} */
    const choices =
      kind === "video"
        ? [
            ["Camera", "camera", camera],
            ["Screen", "screen", screen],
            ["Test pattern", "pattern", pattern],
          ]
        : [
            ["Microphone", "microphone", microphone],
            ["Test tone", "tone", tone],
          ];
    for (const [label, what, open] of choices) {
      this.#buttons.append(element("button", { type: "button", onclick: () => void this.#send(what, open) }, label));
    }
    this.#buttons.append(element("button", { type: "button", onclick: () => this.#file.click() }, "File"), this.#stop);
    this.#file.addEventListener("change", () => {
      const chosen = this.#file.files?.[0];
      if (chosen) void this.#send("file", () => fromFile(chosen, this.#kind));
      this.#file.value = "";
    });
    this.devices.addEventListener("change", () => void this.#send("camera", kind === "video" ? camera : microphone));
    this.sizes.addEventListener("change", () => this.#source && void this.#send("camera", camera));
    this.devices.hidden = true;
    this.#settings.append(this.devices, ...(kind === "video" ? [this.sizes] : []));
    const title = element("h2", {}, readable(name));
    this.#hint.append(kind === "video" ? "Send video to this model." : "Send audio to this model.");
    this.root = element(
      "section",
      { class: "group source", "data-track": name },
      title,
      this.#hint,
      this.#preview,
      this.#buttons,
      this.#settings,
      this.#file,
      this.#complaint,
    );
  }

  get sending() {
    return this.#source !== null;
  }

  async stop() {
    this.#release();
    await this.#client.unpublish(this.name);
  }

  /** Report that the input is no longer published. @param {unknown} error */
  lost(error) {
    this.#release();
    this.#complain({ title: `“${readable(this.name)}” stopped sending`, text: sentence(String(error)) });
  }

  /** Handle a camera that was disconnected, or a screen share that the browser ended. @param {string} what */
  async #onEnded(what) {
    await this.stop();
    const again = `press ${readable(what)}`;
    this.#complain(
      what === "camera" || what === "microphone"
        ? { title: `The ${what} was disconnected`, text: `Connect it and ${again}, or choose another source.` }
        : { title: `The ${what} stopped`, text: `To send it again, ${again}.` },
    );
  }

  /**
   * @param {string} what
   * @param {Opener} open
   */
  async #send(what, open) {
    this.#complaint.replaceChildren();
    /** @type {Source} */
    let source;
    try {
      source = await open(this);
    } catch (error) {
      return this.#complain(explainDevice(error, what));
    }
    try {
      await this.#client.publish(this.name, source.media);
    } catch (error) {
      source.end();
      const text =
        error instanceof CommandRefused && error.code.toLowerCase().includes("publish")
          ? "Another client in this session already sends it."
          : sentence(error instanceof Error ? error.message : String(error));
      return this.#complain({ title: `Could not send “${readable(this.name)}”`, text });
    }
    this.#use(source, what);
  }

  /**
   * @param {Source} source
   * @param {string} what
   */
  #use(source, what) {
    this.#source?.end();
    this.#source = source;
    this.#stop.hidden = false;
    this.#hint.hidden = true;
    source.media.addEventListener("ended", () => this.#source === source && void this.#onEnded(what));
    if (this.#kind === "video") {
      this.#preview.srcObject = new MediaStream([source.media]);
      this.#preview.classList.toggle("mirrored", what === "camera");
      this.#preview.hidden = false;
    }
    if (what === "camera" || what === "microphone") void this.#listDevices();
  }

  async #listDevices() {
    const wanted = this.#kind === "video" ? "videoinput" : "audioinput";
    const found = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === wanted);
    const current = this.#source?.media.getSettings().deviceId;
    this.devices.replaceChildren(
      ...found.map(({ deviceId, label }) =>
        element("option", { value: deviceId, selected: deviceId === current }, label || (this.#kind === "video" ? "Camera" : "Microphone")),
      ),
    );
    this.devices.hidden = found.length < 2;
  }

  #release() {
    this.#source?.end();
    this.#source = null;
    this.#stop.hidden = true;
    this.#hint.hidden = false;
    this.#preview.hidden = true;
    this.#preview.srcObject = null;
  }

  /** @param {import("../words/problems.js").Words} words */
  #complain({ title, text }) {
    this.#complaint.replaceChildren(element("strong", {}, title), element("span", {}, text));
  }
}

/** @type {Opener} */
async function camera({ devices, sizes }) {
  const [, width, height] = /** @type {(typeof CAMERA_SIZES)[number]} */ (
    CAMERA_SIZES[sizes.selectedIndex] ?? CAMERA_SIZES[0]
  );
  const deviceId = devices.value ? { exact: devices.value } : undefined;
  const video = {
    width: { ideal: width },
    height: { ideal: height },
    frameRate: { ideal: 30 },
    ...(deviceId && { deviceId }),
  };
  return opened(await mediaDevices().getUserMedia({ video }));
}

/** @type {Opener} */
async function microphone({ devices }) {
  const deviceId = devices.value ? { exact: devices.value } : undefined;
  return opened(
    await mediaDevices().getUserMedia({ audio: { echoCancellation: true, ...(deviceId && { deviceId }) } }),
  );
}

/** @type {Opener} */
async function screen() {
  return opened(await mediaDevices().getDisplayMedia({ video: true }));
}

function mediaDevices() {
  // Browsers hide it on plain http from another machine.
  if (!navigator.mediaDevices)
    throw new Error("open this page over https, or on localhost, to use a device");
  return navigator.mediaDevices;
}

/**
 * @param {MediaStream} stream
 * @returns {Source}
 */
function opened(stream) {
  const [media] = stream.getTracks();
  if (!media) throw new Error("the device provided no media");
  return { media, end: () => media.stop() };
}

/** Draw a moving bar over colours: every frame differs, and a frozen video shows at once. @type {Opener} */
async function pattern() {
  const { width, height, fps } = PATTERN;
  const canvas = element("canvas", { width, height });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  let frame = 0;
  const timer = setInterval(() => {
    for (let band = 0; band < 8; band++) {
      context.fillStyle = `hsl(${band * 45 + frame / 2} 70% 55%)`;
      context.fillRect((band * width) / 8, 0, width / 8 + 1, height);
    }
    context.fillStyle = "#fff";
    context.fillRect((frame * 4) % width, 0, 24, height);
    context.font = "600 48px system-ui, sans-serif";
    context.fillText(String(frame++), 24, height - 32);
  }, 1000 / fps);
  const source = opened(canvas.captureStream(fps));
  return { ...source, end: () => (clearInterval(timer), source.end()) };
}

/** @type {Opener} */
async function tone() {
  const context = new AudioContext();
  const target = context.createMediaStreamDestination();
  const gain = new GainNode(context, { gain: 0.2 });
  const oscillator = new OscillatorNode(context, { frequency: 440 });
  oscillator.connect(gain).connect(target);
  oscillator.start();
  const source = opened(target.stream);
  return { ...source, end: () => (source.end(), void context.close()) };
}

/**
 * @param {File} file
 * @param {"video" | "audio"} kind
 * @returns {Promise<Source>}
 */
async function fromFile(file, kind) {
  const url = URL.createObjectURL(file);
  const player = element(kind, { src: url, loop: true, muted: kind === "video" });
  await player.play().catch(() => {
    throw new Error(`the browser cannot play ${file.name}; choose an MP4 or WebM file`);
  });
  // `captureStream` of media elements is in Chromium and Firefox, but not in the DOM's type declarations.
  const capture = /** @type {() => MediaStream} */ (
    Reflect.get(player, "captureStream") ?? Reflect.get(player, "mozCaptureStream")
  );
  if (!capture) throw new Error("this browser cannot send a file as a track; use the camera or the test pattern");
  const stream = capture.call(player);
  const media = stream.getTracks().find((track) => track.kind === kind);
  if (!media) throw new Error(`${file.name} has no ${kind}`);
  const end = () => {
    media.stop();
    player.removeAttribute("src");
    URL.revokeObjectURL(url);
  };
  return { media, end };
}
