// The page's side of `ReactorWidget`: draws the frames that come, says when one is taken, sends what is asked for.

const make = (tag, attributes = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), attributes);
  element.append(...children);
  return element;
};

const INPUTS = { number: "number", whole: "number", switch: "checkbox", text: "text", color: "color" };

/** An input for one field, and what it says now. */
function inputOf(field) {
  if (field.kind === "choice") {
    const options = field.values.map((value) => make("option", { textContent: String(value) }));
    const select = make("select", {}, ...options);
    select.selectedIndex = Math.max(0, field.values.indexOf(field.value));
    return [select, () => field.values[select.selectedIndex]];
  }
  if (field.kind === "json") {
    const area = make("textarea", { rows: 2, value: JSON.stringify(field.value) });
    return [area, () => JSON.parse(area.value || "null")];
  }
  const bounded = field.min !== undefined && field.max !== undefined;
  const input = make("input", { type: bounded && field.step !== undefined ? "range" : INPUTS[field.kind] });
  for (const limit of ["min", "max", "step"]) if (field[limit] !== undefined) input[limit] = field[limit];
  if (field.kind === "switch") {
    input.checked = Boolean(field.value);
    return [input, () => input.checked];
  }
  if (field.value !== null) input.value = field.value;
  else if (bounded) input.value = (field.min + field.max) / 2;
  const isNumber = field.kind === "number" || field.kind === "whole";
  return [input, () => (!isNumber ? input.value : input.value === "" ? null : Number(input.value))];
}

/** One command: its fields and, unless it is live, a button. `send(name, data)` resolves with its outcome. */
function controlOf(control, send) {
  const inputs = control.fields.map((field) => [field, ...inputOf(field)]);
  const outcome = make("output");
  const data = () =>
    Object.fromEntries(inputs.map(([field, , read]) => [field.name, read()]).filter(([, value]) => value !== null));
  const run = async () => {
    let said;
    try {
      said = await send(control.command, data());
    } catch (error) {
      said = { ok: false, text: error.message }; // no JSON
    }
    outcome.textContent = said.ok && control.live ? "" : said.text;
    outcome.className = said.ok ? "" : "refused";
  };
  const labels = inputs.map(([field, input]) =>
    make("label", { title: field.description }, control.live ? control.title : field.name, input),
  );
  const row = make("div", { className: "control", title: control.description }, ...labels);
  if (control.live) {
    // One on its way at a time; what is moved meanwhile is sent when its outcome is there.
    let busy = false;
    let moved = false;
    const follow = async () => {
      moved = true;
      if (busy) return;
      busy = true;
      while (moved) {
        moved = false;
        await run();
      }
      busy = false;
    };
    inputs[0][1].addEventListener("input", follow);
  } else {
    row.append(make("button", { textContent: control.title, onclick: run }));
  }
  row.append(outcome);
  return row;
}

function render({ model, el }) {
  const canvas = make("canvas", { width: 640, height: 360 });
  const status = make("span", { className: "status" });
  const problem = make("span", { className: "refused" });
  const panel = make("div", { className: "panel" });
  const pending = new Map();
  let last = 0;

  const send = (name, data) =>
    new Promise((resolve) => {
      pending.set(++last, resolve);
      model.send({ kind: "command", name, data, id: last });
    });

  const heard = async (message, buffers) => {
    if (message.kind === "outcome") {
      pending.get(message.id)?.(message);
      pending.delete(message.id);
    } else if (message.kind === "frame") {
      const picture = await createImageBitmap(new Blob([buffers[0]], { type: "image/jpeg" }));
      if (canvas.width !== picture.width) canvas.width = picture.width;
      if (canvas.height !== picture.height) canvas.height = picture.height;
      canvas.getContext("2d").drawImage(picture, 0, 0);
      picture.close();
      model.send({ kind: "taken" });
    }
  };
  const say = () => {
    status.textContent = model.get("status");
    problem.textContent = model.get("problem");
  };
  const lay = () => panel.replaceChildren(...model.get("controls").map((control) => controlOf(control, send)));

  el.classList.add("livereactor");
  el.append(canvas, make("p", {}, status, problem), panel);
  say();
  lay();
  model.on("msg:custom", heard);
  model.on("change:status", say);
  model.on("change:problem", say);
  model.on("change:controls", lay);
  return () => {
    model.off("msg:custom", heard);
    model.off("change:status", say);
    model.off("change:problem", say);
    model.off("change:controls", lay);
  };
}

export default { render };
