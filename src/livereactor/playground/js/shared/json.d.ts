/** A JSON value. The type refers to itself, which JSDoc cannot express. */
export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject;
export interface JsonObject {
  [key: string]: JsonValue;
}
