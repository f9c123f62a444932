// The official JavaScript client in a page, driven from outside: window.ask(op, args). `drivers.BrowserClients` is the
// other end. Bundled by esbuild at test time; the client itself is imported unmodified.
import { Reactor } from "@reactor-team/js-sdk";

const clients = new Map();

class Watch {
  // What came in on a video track, frame by frame, as livereactor/probes/watching.py keeps it.
  constructor(changed, offset) {
    this.seen = [];
    this.changed = changed;
    this.offset = offset; // added to performance.now() gives the machine's monotonic milliseconds
    this.keep = 0; // of so many frames more, the sharpness is kept
    this.kept = [];
    this.canvas = new OffscreenCanvas(1, 1);
    this.context = null;
  }

  monotonic(now = performance.now()) {
    return now + this.offset;
  }

  async fromTrack(track) {
    // A track reader hands over each decoded frame, before the page paints it.
    const reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
    this.reader = reader;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const at = this.monotonic();
      this.look(value, value.displayWidth, value.displayHeight, at);
      value.close();
    }
  }

  fromVideo(video) {
    // What a person sees: called as the frame is presented.
    const step = (_, data) => {
      if (this.stopped) return;
      // Not the time it is given: that is when this frame of the page began, before the picture was there.
      this.look(video, data.width, data.height, this.monotonic());
      video.requestVideoFrameCallback(step);
    };
    video.requestVideoFrameCallback(step);
  }

  look(source, width, height, at) {
    if (this.canvas.width !== width || this.canvas.height !== height || !this.context) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    }
    this.context.drawImage(source, 0, 0, width, height);
    const top = this.context.getImageData(0, 0, width, Math.floor(height / 6)).data;
    const code = readCode(top, width, height);
    const x = Math.floor(width / 2) - 4;
    const y = Math.floor(height / 2) - 4;
    const patch = this.context.getImageData(x, y, 8, 8).data;
    const middle = [0, 0, 0];
    for (let i = 0; i < patch.length; i += 4) for (let c = 0; c < 3; c++) middle[c] += patch[i + c] / 64;
    if (this.keep > 0) {
      this.keep -= 1;
      const pixels = this.context.getImageData(0, 0, width, height).data;
      this.kept.push({ at: at / 1000, decibels: code ? sharpness(pixels, width, height, code.counter) : null });
    }
    const frame = { at: at / 1000, width, height, counter: null, client: false, age_ms: null, middle };
    if (code) {
      frame.counter = code.counter;
      frame.client = code.client;
      frame.age_ms = (at * 1000 - code.clock) / 1000; // the clock wraps after nine years
    }
    this.seen.push(frame);
    this.changed();
  }

  stop() {
    this.stopped = true;
    this.reader?.cancel();
  }
}

function sharpness(pixels, width, height, counter) {
  // PSNR in dB against the pattern that the model drew (bench/official/picture.py), every fifth pixel of it.
  const left = (counter * 4) % 256;
  let error = 0;
  let count = 0;
  for (let y = Math.ceil(height / 6); y < height; y += 5)
    for (let column = 0; column < width; column += 5) {
      const x = column + left;
      const wave = Math.abs((x % 256) - 128) / 128;
      const chequer = (Math.floor(x / 32) + Math.floor(y / 32)) % 2 === 0 ? 24 : -24;
      const rise = y / height;
      const source = [60 + 130 * wave, 60 + 130 * rise, 60 + 65 * (wave + 1 - rise)];
      for (let c = 0; c < 3; c++) {
        const wanted = Math.floor(Math.min(255, Math.max(0, source[c] + chequer)));
        error += (pixels[(y * width + column) * 4 + c] - wanted) ** 2;
        count++;
      }
    }
  return 10 * Math.log10(255 ** 2 / Math.max(error / count, 1e-6));
}

function readCode(data, width, height) {
  const bits = [];
  for (let row = 0; row < 3; row++) {
    for (let column = 0; column < 32; column++) {
      let sum = 0;
      let count = 0;
      for (const dy of [0.3, 0.5, 0.7])
        for (const dx of [0.3, 0.5, 0.7]) {
          const y = Math.floor(((row + dy) * height) / 18);
          const x = Math.floor(((column + dx) * width) / 32);
          sum += data[(y * width + x) * 4 + 1];
          count++;
        }
      bits.push(sum / count >= 128 ? 1 : 0);
    }
  }
  const bytes = [];
  for (let i = 0; i < 96; i += 8) bytes.push(bits.slice(i, i + 8).reduce((value, bit) => value * 2 + bit, 0));
  let crc = 0xffff;
  for (const byte of bytes.slice(0, 10)) {
    crc ^= byte << 8;
    for (let i = 0; i < 8; i++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
  }
  if (crc !== bytes[10] * 256 + bytes[11]) return null;
  const counter = bytes.slice(0, 4).reduce((value, byte) => value * 256 + byte, 0);
  const clock = bytes.slice(4, 10).reduce((value, byte) => value * 256 + byte, 0);
  return { counter: counter % 2 ** 31, client: counter >= 2 ** 31, clock };
}

function drawCode(context, width, height, counter, clock) {
  const bytes = [];
  const number = counter + 2 ** 31;
  for (let i = 3; i >= 0; i--) bytes.push(Math.floor(number / 256 ** i) % 256);
  for (let i = 5; i >= 0; i--) bytes.push(Math.floor(clock / 256 ** i) % 256);
  let crc = 0xffff;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let i = 0; i < 8; i++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
  }
  bytes.push(crc >> 8, crc & 255);
  for (let cell = 0; cell < 96; cell++) {
    const bit = (bytes[cell >> 3] >> (7 - (cell & 7))) & 1;
    context.fillStyle = bit ? "rgb(235,235,235)" : "rgb(16,16,16)";
    const left = Math.round(((cell % 32) * width) / 32);
    const right = Math.round((((cell % 32) + 1) * width) / 32);
    const top = Math.round((Math.floor(cell / 32) * height) / 18);
    const bottom = Math.round(((Math.floor(cell / 32) + 1) * height) / 18);
    context.fillRect(left, top, right - left, bottom - top);
  }
}

function untilChange(client, condition, timeout) {
  // Resolves once the condition holds, looked at whenever something happened.
  return new Promise((resolve) => {
    const finish = (value) => {
      clearTimeout(timer);
      client.waiters.delete(check);
      resolve(value);
    };
    const check = () => condition() && finish(true);
    const timer = setTimeout(() => finish(Boolean(condition())), timeout * 1000);
    client.waiters.add(check);
    check();
  });
}

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

const operations = {
  // With a token, `url` is a coordinator's; without, a local runtime's.
  async new({ c, url, model = "conformance", offset, jwt = null }) {
    const reactor = new Reactor({ modelName: model, apiUrl: url, local: jwt === null });
    const client = { reactor, offset, jwt, waiters: new Set(), statuses: [], messages: [], byType: {}, runtime: [], errors: [], refs: {} };
    client.changed = () => [...client.waiters].forEach((check) => check());
    const note = (list, shape) => (value) => {
      list.push(shape(value));
      client.changed();
    };
    reactor.on("statusChanged", note(client.statuses, (status) => status));
    reactor.on("message", (message) => {
      (client.byType[message?.type] ??= []).push(message);
      client.messages.push(message);
      client.changed();
    });
    reactor.on("runtimeMessage", note(client.runtime, (message) => message));
    reactor.on("error", note(client.errors, (error) => error));
    client.tracks = {};
    client.watches = {};
    reactor.on("trackReceived", (name, track) => {
      client.tracks[name] = track;
      if (track.kind === "video" && name === "main_video") startWatching(client, name, track);
      client.changed();
    });
    client.video = null;
    clients.set(c, client);
  },

  async connect({ c, onPage = false }) {
    const client = clients.get(c);
    client.onPage = onPage;
    const started = performance.now();
    await (client.jwt === null ? client.reactor.connect() : client.reactor.connect(client.jwt));
    const ready = await untilChange(client, () => client.reactor.getStatus() === "ready", 20);
    if (!ready) throw new Error(`not ready but ${client.reactor.getStatus()}: ${JSON.stringify(client.errors)}`);
    return {
      ready_ms: performance.now() - started,
      started: (started + client.offset) / 1000,
      session: client.reactor.getSessionId(),
    };
  },

  async reconnect({ c }) {
    // This client has no call that drops only the transport but this one.
    const client = clients.get(c);
    await client.reactor.disconnect(true);
    const started = performance.now();
    await client.reactor.reconnect();
    const ready = await untilChange(client, () => client.reactor.getStatus() === "ready", 20);
    if (!ready) throw new Error(`not ready again but ${client.reactor.getStatus()}: ${JSON.stringify(client.errors)}`);
    return { ready_ms: performance.now() - started, session: client.reactor.getSessionId() };
  },

  async disconnect({ c }) {
    const client = clients.get(c);
    stopAll(client);
    await client.reactor.disconnect();
  },

  async drop({ c }) {
    const client = clients.get(c);
    if (!client) return;
    clients.delete(c);
    stopAll(client);
    await client.reactor.disconnect();
  },

  async state({ c }) {
    const { reactor, statuses, errors, runtime, messages } = clients.get(c);
    return {
      status: reactor.getStatus(),
      session: reactor.getSessionId() ?? null,
      statuses,
      errors,
      runtime_messages: runtime,
      message_count: messages.length,
      tracks: reactor.getCapabilities()?.tracks ?? [],
    };
  },

  async send({ c, name, data = {}, ref = null }) {
    // Fire and forget: this client's commands have no answer.
    const client = clients.get(c);
    await client.reactor.sendCommand(name, ref === null ? data : { ...data, image: client.refs[ref] });
  },

  async send_many({ c, name, datas }) {
    const client = clients.get(c);
    for (const data of datas) client.reactor.sendCommand(name, data);
  },

  async send_bytes({ c, name, size }) {
    await clients.get(c).reactor.sendCommand(name, { value: "x".repeat(size) });
  },

  async wait_messages({ c, type, count, timeout = 20, start = 0 }) {
    const client = clients.get(c);
    await untilChange(client, () => (client.byType[type] ?? []).length >= start + count, timeout);
    return (client.byType[type] ?? []).slice(start);
  },

  async wait_error({ c, timeout = 20 }) {
    const client = clients.get(c);
    await untilChange(client, () => client.errors.length > 0, timeout);
    return client.errors;
  },

  async wait_status({ c, status, timeout = 20 }) {
    const client = clients.get(c);
    return untilChange(client, () => client.reactor.getStatus() === status, timeout);
  },

  async echo_times({ c, count }) {
    const client = clients.get(c);
    const replies = () => (client.byType.echo_reply ?? []).length;
    const times = [];
    for (let n = 0; n < count; n++) {
      const before = replies();
      const started = performance.now();
      client.reactor.sendCommand("echo", { value: n });
      await untilChange(client, () => replies() > before, 10);
      times.push(performance.now() - started);
    }
    return times;
  },

  async frames({ c, start = 0, track = "main_video" }) {
    return clients.get(c).watches[track]?.seen.slice(start) ?? [];
  },

  async wait_seen({ c, count, start = null, timeout = 10, track = "main_video" }) {
    const client = clients.get(c);
    const seen = () => client.watches[track]?.seen.length ?? 0;
    const from = start ?? seen();
    await untilChange(client, () => seen() >= from + count, timeout);
    return client.watches[track]?.seen.slice(from) ?? [];
  },

  async seen_for({ c, seconds, track = "main_video" }) {
    const client = clients.get(c);
    const from = client.watches[track]?.seen.length ?? 0;
    await pause(seconds);
    return client.watches[track]?.seen.slice(from) ?? [];
  },

  async keep_pictures({ c, count }) {
    clients.get(c).keep = count;
  },

  async first_sharp({ c, decibels = 35, timeout = 8 }) {
    const client = clients.get(c);
    const watch = client.watches.main_video;
    await untilChange(client, () => watch.keep === 0, timeout);
    const found = watch.kept.find((frame) => frame.decibels !== null && frame.decibels >= decibels);
    return { at: found?.at ?? null, decibels: watch.kept.map((frame) => frame.decibels) };
  },

  async offered_at({ c }) {
    return null; // this client does not tell when it posts its offer
  },

  async first_frame({ c, timeout = 10, track = "main_video" }) {
    const client = clients.get(c);
    await untilChange(client, () => client.watches[track]?.seen.length > 0, timeout);
    return client.watches[track]?.seen[0]?.at ?? null;
  },

  async flash_times({ c, trials, phases }) {
    const client = clients.get(c);
    const watch = client.watches.main_video;
    const times = [];
    for (let trial = 0; trial < trials; trial++) {
      const color = ["ff2020", "2020ff"][trial % 2];
      await pause(phases[trial % phases.length]);
      const start = watch.seen.length;
      const started = watch.monotonic();
      client.reactor.sendCommand("flash", { color });
      await untilChange(client, () => firstColor(watch, start, color) !== null, 3);
      const at = firstColor(watch, start, color);
      times.push(at === null ? null : at * 1000 - started);
    }
    return times;
  },

  async upload({ c, ref, size, name, mime_type }) {
    const client = clients.get(c);
    const bytes = Uint8Array.from({ length: size }, (_, index) => index % 251);
    const started = performance.now();
    client.refs[ref] = await client.reactor.uploadFile(new Blob([bytes], { type: mime_type }), { name });
    return { ms: performance.now() - started, upload_id: client.refs[ref].uploadId, size: client.refs[ref].size };
  },

  async start_camera({ c, track = "webcam", fps = 30, size = [640, 360] }) {
    // Publishing and filming are one thing to this client.
    const client = clients.get(c);
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = size;
    const context = canvas.getContext("2d");
    const stream = canvas.captureStream(0);
    const media = stream.getVideoTracks()[0];
    let counter = 0;
    const paint = () => {
      counter += 1;
      context.fillStyle = `rgb(${60 + (counter % 60)},110,90)`;
      context.fillRect(0, 0, size[0], size[1]);
      drawCode(context, size[0], size[1], counter, Math.floor((performance.now() + client.offset) * 1000));
      media.requestFrame();
    };
    client.camera = { timer: setInterval(paint, 1000 / fps), media };
    paint();
    await client.reactor.publishTrack(track, media);
  },

  async stop_camera({ c, track = "webcam" }) {
    const client = clients.get(c);
    clearInterval(client.camera?.timer);
    client.camera = null;
    await client.reactor.unpublishTrack(track);
  },

  async stats({ c, timeout = 6 }) {
    const client = clients.get(c);
    await untilChange(client, () => client.reactor.getStats()?.framesPerSecond > 0, timeout);
    return client.reactor.getStats() ?? null;
  },

  async has({ c, method }) {
    return typeof clients.get(c).reactor[method] === "function";
  },
};

function startWatching(client, name, track) {
  const watch = new Watch(client.changed, client.offset);
  watch.seen = client.watches[name]?.seen ?? [];
  watch.keep = client.keep ?? 0;
  client.watches[name]?.stop();
  client.watches[name] = watch;
  if (!client.onPage) {
    watch.fromTrack(track).catch(() => {});
    return;
  }
  client.video?.remove();
  const video = document.createElement("video");
  video.muted = true;
  video.autoplay = true;
  video.srcObject = new MediaStream([track]);
  document.body.append(video);
  video.play().catch(() => {});
  client.video = video;
  watch.fromVideo(video);
}

function stopAll(client) {
  clearInterval(client.camera?.timer);
  Object.values(client.watches).forEach((watch) => watch.stop());
  client.video?.remove();
}

function firstColor(watch, start, color) {
  const wanted = [0, 2, 4].map((at) => parseInt(color.slice(at, at + 2), 16));
  for (const frame of watch.seen.slice(start))
    if (frame.middle.every((have, index) => Math.abs(have - wanted[index]) < 48)) return frame.at;
  return null;
}

window.now = () => performance.now();
// One text each way: the driver's own serializer takes seconds for thousands of messages.
window.ask = async (request) => {
  const { op, args } = JSON.parse(request);
  try {
    return JSON.stringify({ result: (await operations[op](args)) ?? null });
  } catch (error) {
    const { name = "Error", code = null } = error ?? {};
    return JSON.stringify({ failed: { error: name, code, message: String(error?.message ?? error) } });
  }
};
