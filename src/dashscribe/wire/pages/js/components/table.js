// Rows and columns.

import { html } from "../lib.js";

/**
 * A table. `columns`: [{name, title, draw(row), end, tight}], where `end` aligns numbers and `tight` takes no more room
 * than needed; `label` tells readers what it is; `keyOf(row)` tells rows apart. The first column names its row. The roles
 * are written out because phones show the rows as blocks, which would take them away.
 */
export function Table({ label, columns, rows, keyOf }) {
  const classOf = (column) => `${column.end ? "end number" : ""} ${column.tight ? "tight" : ""}`;
  const cell = (column, row, at) => at === 0
    ? html`<th scope="row" role="rowheader" class=${classOf(column)}>${column.draw(row)}</th>`
    : html`<td role="cell" class=${classOf(column)} data-title=${typeof column.title === "string" ? column.title : undefined}>${column.draw(row)}</td>`;
  return html`<div class="table-wrap" tabindex="0" role="group" aria-label=${label}><table class="table" role="table">
    <thead role="rowgroup"><tr role="row">${columns.map((column) => html`<th scope="col" role="columnheader" class=${classOf(column)}>${column.title}</th>`)}</tr></thead>
    <tbody role="rowgroup">${rows.map((row) => html`<tr key=${keyOf(row)} role="row">${columns.map((column, at) => cell(column, row, at))}</tr>`)}</tbody>
  </table></div>`;
}
