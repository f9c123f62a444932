/** What JSON can say: a type that names itself, which JSDoc cannot write. */
export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject;
export interface JsonObject {
  [key: string]: JsonValue;
}
