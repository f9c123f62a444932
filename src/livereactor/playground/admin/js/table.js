/** A table that keeps the element of a row while the row exists, so that focus and clicks are not lost. */

import { element } from "../../js/shared/dom.js";

/**
 * @template Row
 * @typedef {object} Column
 * @property {string} label of the column; in a narrow window it stands before each value
 * @property {(row: Row) => string} [text] content of a cell
 * @property {(latest: () => Row) => HTMLElement} [make] creates the content of a cell once per row, instead of `text`
 * @property {(row: Row, made: HTMLElement) => void} [update] updates what `make` created
 * @property {(row: Row) => string} [mark] value of `data-mark`, for styles
 * @property {"number" | "code" | "badge" | "wide" | "actions"} [kind] number: right-aligned; wide: has its own line
 *   in a narrow window; actions: buttons
 */

/** @template Row */
export class Table {
  #columns;
  #id;
  #body = element("tbody");
  #table;
  #empty;
  /** @type {Map<string, {row: Row, line: HTMLTableRowElement}>} */
  #lines = new Map();

  /**
   * @param {HTMLElement} root
   * @param {{name: string, columns: Column<Row>[], id: (row: Row) => string, empty: string}} options
   */
  constructor(root, { name, columns, id, empty }) {
    this.#columns = columns;
    this.#id = id;
    const heads = columns.map(({ label, kind }) =>
      element("th", { scope: "col", class: kind === "number" ? kind : "" }, label),
    );
    this.#table = element(
      "table",
      { "aria-label": name, hidden: true },
      element("thead", {}, element("tr", {}, ...heads)),
      this.#body,
    );
    this.#empty = element("p", { class: "hint" }, empty);
    root.append(this.#table, this.#empty);
  }

  /** Show rows. @param {Row[]} rows in order */
  show(rows) {
    const ids = new Set(rows.map(this.#id));
    for (const [id, { line }] of this.#lines) {
      if (ids.has(id)) continue;
      line.remove();
      this.#lines.delete(id);
    }
    rows.forEach((row, at) => {
      const line = this.#line(row);
      const there = this.#body.children[at];
      if (there !== line) this.#body.insertBefore(line, there ?? null);
    });
    this.#table.hidden = rows.length === 0;
    this.#empty.hidden = rows.length > 0;
  }

  /** @param {Row} row */
  #line(row) {
    const id = this.#id(row);
    const known = this.#lines.get(id) ?? this.#make(id, row);
    known.row = row;
    this.#columns.forEach(({ text, update, mark }, at) => {
      const cell = /** @type {HTMLElement} */ (known.line.children[at]);
      const said = text?.(row);
      if (said !== undefined && cell.textContent !== said) cell.textContent = said;
      if (update) update(row, /** @type {HTMLElement} */ (cell.firstElementChild));
      if (mark) cell.dataset.mark = mark(row);
    });
    return known.line;
  }

  /**
   * @param {string} id
   * @param {Row} row
   */
  #make(id, row) {
    const known = { row, line: element("tr") };
    for (const { label, kind, make } of this.#columns) {
      const cell = element("td", { class: kind ?? "", "data-label": label });
      if (make) cell.append(make(() => known.row));
      known.line.append(cell);
    }
    this.#lines.set(id, known);
    return known;
  }
}
