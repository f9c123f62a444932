/** Reading the model's schema (protocol 6.3) into what the page draws. Pure: no DOM. */

/** @typedef {import("../shared/json.js").JsonValue} JsonValue */
/** @typedef {import("../shared/json.js").JsonObject} JsonObject */
/** @typedef {"switch" | "choice" | "number" | "text" | "color" | "file" | "json"} FieldKind */
/**
 * One argument of a command. `minimum` and `maximum` are inclusive unless `exclusive…` says otherwise.
 * @typedef {{name: string, kind: FieldKind, integer: boolean, nullable: boolean, required: boolean,
 *   value: JsonValue | undefined, description: string, options: JsonValue[], binding: Binding | null, example: string,
 *   minimum?: number, maximum?: number, above?: number, below?: number, step?: number, minLength?: number,
 *   maxLength?: number}} Field `example`: of `json`, what it may look like
 */
/** Keys and gamepad control that give it (`x-livereactor-input`). @typedef {{keys: string[], gamepad: string}} Binding */
/**
 * `pointer`: it takes a place on the picture, `x` and `y` in 0..1.
 * @typedef {{name: string, description: string, fields: Field[], pointer: boolean, binding: Binding | null}} Command
 */
/** @typedef {{title: string, description: string, parameters: (Command & {field: Field})[], commands: Command[]}} Model */

const UPLOAD = "reactor-upload-reference";
const MAX_DEPTH = 4;

/**
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
    // A parameter is a command that sets the one field it is named after (6.2).
    if (only && others.length === 0 && name === `set_${only.name}`) model.parameters.push({ ...command, field: only });
    else model.commands.push(command);
  }
  return model;
}

/**
 * What is wrong with a value, in a few words, by the rules the server applies too; empty: nothing.
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
  // Within what binary fractions leave over: 0.3 is a multiple of 0.1.
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
  const places = fields.filter(isPlace);
  const pointer = places.length === 2;
  // A place that nobody has pointed at yet is the middle.
  if (pointer) for (const field of places) field.value ??= 0.5;
  return { name, description, fields, pointer };
}

/** @param {Field} field */
function isPlace({ name, kind, integer, minimum, maximum }) {
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
    // A switch has two places; one that may also be null needs three.
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
 * @param {Record<string, string>} names ours → the schema's
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
 * Follow references and take `T | null` apart.
 * @param {JsonObject} document
 * @param {JsonObject} property
 * @returns {{type: JsonObject, nullable: boolean}}
 */
function resolve(document, property) {
  let type = property;
  let nullable = false;
  // Bounded: a schema whose references go round in circles must not hang the page.
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
 * A value of a type, so that nobody has to guess what JSON is wanted.
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
