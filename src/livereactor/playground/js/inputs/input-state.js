/** Combine keys, gamepad and touch into the value of each binding. Pure. */

/** @typedef {import("./bindings.js").Bound} Bound */
/**
 * An action: set a parameter, or send a command if there is no value.
 * @typedef {{name: string, value?: number | boolean}} InputAction
 */

export class InputState {
  #bound;
  /** @type {Map<string, Map<string, number>>} by binding: deflection -1..1 of each key, control or touch */
  #deflections = new Map();

  /** @param {readonly Bound[]} bound */
  constructor(bound) {
    this.#bound = bound;
  }

  /** Return whether a key is bound. @param {string} key */
  takes(key) {
    return this.#bound.some(({ keys }) => keys.includes(key));
  }

  /** @returns {Set<string>} held keys, and gamepad controls such as `pad left_x` */
  get held() {
    return new Set([...this.#deflections.values()].flatMap((source) => [...source.keys()]));
  }

  /**
   * Press or release a key.
   * @param {string} key
   * @param {boolean} down
   * @returns {InputAction[]}
   */
  key(key, down) {
    return this.#bound
      .filter(({ keys }) => keys.includes(key))
      .flatMap((each) => this.#deflect(each, key, down ? (each.kind === "axis" && key === each.keys[0] ? -1 : 1) : 0));
  }

  /**
   * Update the gamepad.
   * @param {ReadonlyMap<string, number>} reading deflection of each control; missing controls are at rest
   * @returns {InputAction[]}
   */
  pad(reading) {
    return this.#bound
      .filter(({ pad }) => pad)
      .flatMap((each) => this.#deflect(each, `pad ${each.pad}`, reading.get(each.pad) ?? 0));
  }

  /**
   * Update a touch control.
   * @param {string} name
   * @param {number} deflection -1..1
   * @returns {InputAction[]}
   */
  touch(name, deflection) {
    return this.#bound.filter((each) => each.name === name).flatMap((each) => this.#deflect(each, "touch", deflection));
  }

  /** Release everything. @returns {InputAction[]} */
  release() {
    return this.#bound.flatMap((each) => {
      const before = this.#value(each);
      this.#deflections.delete(each.name);
      return changes(each, before, this.#value(each));
    });
  }

  /**
   * @param {Bound} each
   * @param {string} source
   * @param {number} deflection
   * @returns {InputAction[]}
   */
  #deflect(each, source, deflection) {
    const before = this.#value(each);
    const deflections = this.#deflections.get(each.name) ?? new Map();
    if (deflection) deflections.set(source, deflection);
    else deflections.delete(source);
    this.#deflections.set(each.name, deflections);
    return changes(each, before, this.#value(each));
  }

  /**
   * Return the value of a binding: opposite keys cancel out, and two inputs count no more than one.
   * @param {Bound} each
   * @returns {number | boolean}
   */
  #value({ kind, name, low, high, rest, integer }) {
    const deflections = [...(this.#deflections.get(name)?.values() ?? [])];
    if (kind !== "axis") return deflections.length > 0;
    const deflection = Math.max(-1, Math.min(1, deflections.reduce((sum, each) => sum + each, 0)));
    const value = deflection < 0 ? rest + deflection * (rest - low) : rest + deflection * (high - rest);
    // Four digits are finer than any input, and hide binary fractions.
    return integer ? Math.round(value) : Number(value.toPrecision(4));
  }
}

/**
 * @param {Bound} bound
 * @param {number | boolean} before
 * @param {number | boolean} now
 * @returns {InputAction[]} a command is sent on press, not on release
 */
function changes({ kind, name }, before, now) {
  if (before === now) return [];
  if (kind === "press") return now ? [{ name }] : [];
  return [{ name, value: now }];
}
