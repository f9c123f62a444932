// The controls that a schema defines, and the values that they accept.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fault, readSchema } from "../../../../src/livereactor/playground/js/inputs/schema.js";

function document(properties, name = "go", required = undefined) {
  const schema = { type: "object", properties, ...(required && { required }) };
  const post = { operationId: name, summary: "Go.", requestBody: { content: { "application/json": { schema } } } };
  const reference = { type: "object", format: "reactor-upload-reference" };
  return {
    info: { title: "m", description: "d" },
    paths: { [`/events/${name}`]: { post } },
    components: { schemas: { Ref: reference } },
  };
}
const fields = (properties, required) => readSchema(document(properties, "go", required)).commands[0].fields;

test("a command that sets the field of its name is a parameter", () => {
  const model = readSchema(document({ rain: { type: "number", default: 0.2, minimum: 0, maximum: 1 } }, "set_rain"));
  assert.equal(model.commands.length, 0);
  assert.equal(model.parameters[0].field.name, "rain");
  assert.equal(model.parameters[0].field.value, 0.2);
});

test("every type has its editor", () => {
  const kinds = fields({
    a: { type: "boolean" },
    b: { enum: ["x", 2] },
    c: { type: "integer" },
    d: { type: "string" },
    e: { type: "string", default: "#00ff00" },
    f: { $ref: "#/components/schemas/Ref" },
    g: { type: "array", items: {} },
    h: {},
    i: { anyOf: [{ type: "number" }, { type: "null" }] },
    j: { anyOf: [{ type: "number" }, { type: "string" }] },
  }).map(({ kind }) => kind);
  assert.deepEqual(kinds, ["switch", "choice", "number", "text", "color", "file", "json", "json", "number", "json"]);
});

test("a place on the picture is a pair of numbers between 0 and 1", () => {
  const unit = { type: "number", minimum: 0, maximum: 1 };
  const [drop] = readSchema(document({ x: unit, y: unit, strength: { type: "number" } })).commands;
  assert.ok(drop.pointer);
  assert.deepEqual(
    drop.fields.map(({ value }) => value),
    [0.5, 0.5, undefined],
  );
  assert.ok(!readSchema(document({ x: unit, y: { type: "number" } })).commands[0].pointer);
});

test("an example of JSON is made of what the type says, and ends", () => {
  const size = { type: "integer", minimum: 2 };
  const shape = { type: "object", properties: { size, soft: { type: "boolean", default: false }, at: {} } };
  const [brush, marks, many] = fields({
    brush: shape,
    marks: { type: "array", items: { enum: ["x", "y"] } },
    many: { type: "object", additionalProperties: { type: "string" } },
  });
  assert.equal(brush.example, '{"size":2,"soft":false,"at":null}');
  assert.equal(marks.example, '["x"]');
  assert.equal(many.example, '{"…":"…"}');
  const deep = { type: "array", items: { $ref: "#/components/schemas/A" } };
  const circle = document({ deep });
  circle.components.schemas.A = deep;
  assert.equal(readSchema(circle).commands[0].fields[0].example, "[[[[[]]]]]");
});

test("a switch that may be null, a colour by its hint, and a multiple", () => {
  const [sure, ink, grid] = fields({
    sure: { anyOf: [{ type: "boolean" }, { type: "null" }] },
    ink: { type: "string", "x-livereactor-format": "color" },
    grid: { type: "number", multipleOf: 0.1 },
  });
  assert.deepEqual([sure.kind, ...sure.options], ["choice", true, false]);
  assert.equal(ink.kind, "color");
  assert.equal(fault(grid, 0.3), "");
  assert.equal(fault(grid, 0.35), "must be a multiple of 0.1");
});

test("references in circles end", () => {
  const circle = document({ a: { $ref: "#/components/schemas/A" } });
  circle.components.schemas.A = { $ref: "#/components/schemas/A" };
  assert.equal(readSchema(circle).commands[0].fields[0].kind, "json");
});

test("a document that is not there yet has nothing to draw", () => {
  assert.deepEqual(readSchema({}), { title: "", description: "", parameters: [], commands: [] });
});

test("a fault names the rule", () => {
  const [speed, steps, half, name, maybe] = fields(
    {
      speed: { type: "number", minimum: 0, maximum: 5 },
      steps: { type: "integer" },
      half: { type: "number", exclusiveMinimum: 0 },
      name: { type: "string", minLength: 2, maxLength: 3 },
      maybe: { anyOf: [{ type: "number" }, { type: "null" }] },
    },
    ["speed"],
  );
  assert.equal(fault(speed, 9), "must be ≤ 5");
  assert.equal(fault(speed, -1), "must be ≥ 0");
  assert.equal(fault(speed, 5), "");
  assert.equal(fault(speed, undefined), "is required");
  assert.equal(fault(speed, null), "is required");
  assert.equal(fault(steps, 1.5), "must be a whole number");
  assert.equal(fault(half, 0), "must be > 0");
  assert.equal(fault(name, "a"), "must have at least 2 characters");
  assert.equal(fault(name, "🌊🌊🌊"), "");
  assert.equal(fault(name, "abcd"), "must have at most 3 characters, has 4");
  assert.equal(fault(maybe, null), "");
});
