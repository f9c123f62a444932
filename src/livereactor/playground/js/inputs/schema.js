/** Read the model's schema, an OpenAPI document, into the controls that the page draws. Pure: no DOM. */

/** @typedef {import("../shared/json.js").JsonValue} JsonValue */
/** @typedef {import("../shared/json.js").JsonObject} JsonObject */
/** @typedef {"switch" | "choice" | "number" | "text" | "color" | "file" | "json"} FieldKind */
/**
 * One argument of a command. `minimum` and `maximum` are inclusive, `above` and `below` exclusive.
 * @typedef {{name: string, kind: FieldKind, integer: boolean, nullable: boolean, required: boolean,
 *   value: JsonValue | undefined, description: string, options: JsonValue[], binding: Binding | null, example: string,
 *   minimum?: number, maximum?: number, above?: number, below?: number, step?: number, minLength?: number,
 *   maxLength?: number}} Field `example`: sample value of a `json` field
 */
/**
 * Keys and gamepad control of a parameter or command (`x-livereactor-input`).
 * @typedef {{keys: string[], gamepad: string}} Binding
 */
/**
 * A command. `pointer`: it takes a position on the video, `x` and `y` in 0..1.
 * @typedef {{name: string, description: string, fields: Field[], pointer: boolean, binding: Binding | null}} Command
 */
/**
 * @typedef {{title: string, description: string, parameters: (Command & {field: Field})[], commands: Command[]}} Model
 */

const UPLOAD = "reactor-upload-reference";
const MAX_DEPTH = 4;

/**
 * Read a schema.
 * @param {JsonObject} document the OpenAPI document; `{}` while the model loads
 * @returns {Model}
 */
export function readSchema(document) {
  const info = object(document.info);
  /** @type {Model} */
  const model = { title: text(info.title), description: text(info.description), parameters: [], commands: [] };
  for (const [path, entry] of Object.entries(object(document.paths))) {
    const post = object(object(entry).post);
    const name = text(post.operationId) || path.replace("/events/", "");
    const body = object(object(object(object(post.requestBody).content)["application/json"]).schema);
    const command = {
      ...readCommand(document, name, text(post.summary) || text(post.description), body),
      binding: readBinding(post),
    };
    const [only, ...others] = command.fields;
    // A parameter is a command `set_x` with the one field `x`.
    if (only && others.length === 0 && name === `set_${only.name}`) model.parameters.push({ ...command, field: only });
    else model.commands.push(command);
  }
  return model;
}

/**
 * Check a value by the rules of the server; return what is wrong with it, or an empty text.
 * @param {Field} field
 * @param {JsonValue | undefined} value undefined: nothing was entered
 * @returns {string}
 */
export function fault(field, value) {
  if (value === undefined) return field.required ? "is required" : "";
  if (value === null) return field.nullable ? "" : "is required";
  if (field.kind === "number") return numberFault(field, value);
  if (typeof value === "string" && field.kind === "text") {
    const length = [...value].length;
    if (length < (field.minLength ?? 0)) return `must have at least ${field.minLength} characters`;
    if (length > (field.maxLength ?? Infinity)) return `must have at most ${field.maxLength} characters, has ${length}`;
  }
  return "";
}

/**
 * @param {Field} field
 * @param {JsonValue} value
 */
function numberFault({ integer, minimum, maximum, above, below, step }, value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return "must be a number";
  if (integer && !Number.isInteger(value)) return "must be a whole number";
  if (minimum !== undefined && value < minimum) return `must be ≥ ${minimum}`;
  if (maximum !== undefined && value > maximum) return `must be ≤ ${maximum}`;
  if (above !== undefined && value <= above) return `must be > ${above}`;
  if (below !== undefined && value >= below) return `must be < ${below}`;
  // With a tolerance for binary fractions: 0.3 is a multiple of 0.1.
  if (step && Math.abs(value / step - Math.round(value / step)) > 1e-9) return `must be a multiple of ${step}`;
  return "";
}

/**
 * @param {JsonObject} document
 * @param {string} name
 * @param {string} description
 * @param {JsonObject} body
 * @returns {Omit<Command, "binding">}
 */
function readCommand(document, name, description, body) {
  const required = Array.isArray(body.required) ? body.required : [];
  const fields = Object.entries(object(body.properties)).map(([key, property]) =>
    readField(document, key, object(property), required.includes(key)),
  );
  const positions = fields.filter(isPosition);
  const pointer = positions.length === 2;
  // The initial position is the middle.
  if (pointer) for (const field of positions) field.value ??= 0.5;
  return { name, description, fields, pointer };
}

/** @param {Field} field */
function isPosition({ name, kind, integer, minimum, maximum }) {
  return (name === "x" || name === "y") && kind === "number" && !integer && minimum === 0 && maximum === 1;
}

/**
 * @param {JsonObject} document
 * @param {string} name
 * @param {JsonObject} property
 * @param {boolean} required
 * @returns {Field}
 */
function readField(document, name, property, required) {
  const { type, nullable } = resolve(document, property);
  const format = type.format ?? text(property["x-livereactor-format"]);
  const kind = kindOf({ ...type, format }, { initial: property.default, nullable });
  return {
    name,
    kind,
    integer: type.type === "integer",
    nullable,
    required,
    value: property.default,
    description: text(property.description),
    // A nullable switch has three values, so it is a choice.
    options: kind !== "choice" ? [] : Array.isArray(type.enum) ? type.enum : [true, false],
    binding: readBinding(property),
    example: kind === "json" && type.type ? JSON.stringify(example(document, type)) : "",
    ...numbers(type, { minimum: "minimum", maximum: "maximum", above: "exclusiveMinimum", below: "exclusiveMaximum" }),
    ...numbers(type, { step: "multipleOf" }),
    ...numbers(type, { minLength: "minLength", maxLength: "maxLength" }),
  };
}

/**
 * @param {JsonObject} holder a property or an operation
 * @returns {Binding | null}
 */
function readBinding(holder) {
  const { keys, gamepad } = object(holder["x-livereactor-input"]);
  const binding = { keys: Array.isArray(keys) ? keys.map(text).filter(Boolean) : [], gamepad: text(gamepad) };
  return binding.keys.length || binding.gamepad ? binding : null;
}

/**
 * @param {JsonObject} type
 * @param {Record<string, string>} names ours → those of the schema
 */
function numbers(type, names) {
  /** @type {Record<string, number>} */
  const found = {};
  for (const [ours, theirs] of Object.entries(names)) {
    const value = type[theirs];
    if (typeof value === "number") found[ours] = value;
  }
  return found;
}

/**
 * Follow references and split `T | null`.
 * @param {JsonObject} document
 * @param {JsonObject} property
 * @returns {{type: JsonObject, nullable: boolean}}
 */
function resolve(document, property) {
  let type = property;
  let nullable = false;
  // Bounded: circular references must not hang the page.
  for (let hops = 0; hops < 8; hops++) {
    if (typeof type.$ref === "string") {
      const name = type.$ref.replace("#/components/schemas/", "");
      type = object(object(object(document.components).schemas)[name]);
    } else if (Array.isArray(type.anyOf)) {
      const choices = type.anyOf.map(object);
      const [first, ...others] = choices.filter((choice) => choice.type !== "null");
      nullable ||= choices.some((choice) => choice.type === "null");
      if (!first || others.length) return { type: {}, nullable };
      type = first;
    } else break;
  }
  return { type, nullable };
}

/**
 * @param {JsonObject} type
 * @param {{initial: JsonValue | undefined, nullable: boolean}} about
 * @returns {FieldKind}
 */
function kindOf(type, { initial, nullable }) {
  if (type.format === UPLOAD) return "file";
  if (Array.isArray(type.enum)) return "choice";
  if (type.type === "boolean") return nullable ? "choice" : "switch";
  if (type.type === "number" || type.type === "integer") return "number";
  if (type.type !== "string") return "json";
  const looksLikeColor = typeof initial === "string" && /^#[0-9a-f]{6}$/i.test(initial);
  return type.format === "color" || looksLikeColor ? "color" : "text";
}

/**
 * Return a sample value of a type, to show which JSON is expected.
 * @param {JsonObject} document
 * @param {JsonObject} property
 * @param {number} [depth]
 * @returns {JsonValue}
 */
function example(document, property, depth = 0) {
  const { type } = resolve(document, property);
  if (property.default !== undefined) return property.default;
  if (Array.isArray(type.enum)) return type.enum[0] ?? null;
  if (type.type === "boolean") return true;
  if (type.type === "number" || type.type === "integer") return Number(type.minimum ?? 1);
  if (type.type === "string") return "…";
  if (type.type === "array") return depth < MAX_DEPTH ? [example(document, object(type.items), depth + 1)] : [];
  const properties = Object.entries(object(type.properties));
  if (depth >= MAX_DEPTH || type.type !== "object") return null;
  if (properties.length === 0) return { "…": example(document, object(type.additionalProperties), depth + 1) };
  return Object.fromEntries(properties.map(([name, each]) => [name, example(document, object(each), depth + 1)]));
}

/**
 * @param {JsonValue | undefined} value
 * @returns {JsonObject}
 */
function object(value) {
  return value && typeof value === "object" && !Array.isArray(value) ? value : {};
}

/** @param {JsonValue | undefined} value */
function text(value) {
  return typeof value === "string" ? value : "";
}
